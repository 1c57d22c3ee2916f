"""Headless: what a run's History says as text, as JSON and as a picture, and the replay of its log."""

from regtui.report.page import render as render
from regtui.report.page import summary as summary
from regtui.report.replay import line_an_epoch as line_an_epoch
from regtui.report.replay import replay as replay
from regtui.report.result import check_status as check_status
from regtui.report.result import epoch_line as epoch_line
from regtui.report.result import result as result
from regtui.report.result import run_status as run_status
from regtui.report.result import to_json as to_json
from regtui.report.runs import runs_json as runs_json
from regtui.report.runs import runs_table as runs_table
