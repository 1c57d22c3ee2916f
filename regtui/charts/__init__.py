"""Series to lines of text: what the app and the headless report draw alike.

`draw` gives exactly `height` lines of exactly `width` cells for any History and any size, and never raises on data.
Strips stand above each other on one x axis; each curve is thinned to at most two points a column, its lowest and
highest, so a single bad step in a million still shows. Lines are tuples and compare equal when nothing changed.
"""

from regtui.charts.compose import draw as draw
from regtui.charts.compose import row_at as row_at
from regtui.charts.plotter import warm_up as warm_up
from regtui.charts.strips import STRIPS as STRIPS
from regtui.charts.strips import stacks as stacks
from regtui.charts.view import ROLES as ROLES
from regtui.charts.view import SMOOTHING as SMOOTHING
from regtui.charts.view import STYLES as STYLES
from regtui.charts.view import Span as Span
from regtui.charts.view import StyledLine as StyledLine
from regtui.charts.view import View as View
from regtui.charts.view import glyphs as glyphs
