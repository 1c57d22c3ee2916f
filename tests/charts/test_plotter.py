"""What plotext is given and what is read back from it: the one file that knows it, through its public names only."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regtui.charts
from regtui.charts.plotter import Foot, Plot, Stroke, build, build_foot, column_of, row_of

CHARTS = Path(regtui.charts.__file__).parent
PLACES = st.floats(0, 1) | st.floats(allow_nan=True, allow_infinity=True) | st.floats(-3, 3)
KINDS = st.sampled_from(["bold", "line", "dashed", "dotted", "dots"])


def stroke(x, y, kind="line", role="valid", sign="#"):
    return Stroke(role=role, x=np.array(x, dtype=float), y=np.array(y, dtype=float), kind=kind, sign=sign)


def drawn(*strokes, columns=40, rows=10, **given):
    return build(Plot(strokes=strokes, columns=columns, rows=rows, **given))


def rows_of(cells, role):
    return {row for row, _, _, of in cells if of == role}


@st.composite
def strokes(draw):
    x = sorted(draw(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=12)))
    y = draw(st.lists(PLACES, min_size=len(x), max_size=len(x)))
    return stroke(x, y, draw(KINDS), draw(st.sampled_from(["valid", "train", "running", "ghost"])))


@settings(max_examples=300, deadline=None)
@given(st.lists(strokes(), max_size=4), st.integers(1, 60), st.integers(1, 30), st.booleans())
def test_plotext_is_given_nothing_but_whole_dots_within_the_plot(given_strokes, columns, rows, ascii_only):
    plot = Plot(strokes=tuple(given_strokes), columns=columns, rows=rows, ascii=ascii_only)
    width, height = plot.size
    for across, down, joined in plot.dots:
        assert across.dtype == down.dtype == np.int64
        assert ((across >= 0) & (across < width) & (down >= 0) & (down < height)).all()
        assert not joined[:1].any()
    for row, column, sign, _ in build(plot):
        assert 0 <= row < rows
        assert -7 <= column < columns
        assert len(sign) == 1


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 120), st.integers(1, 60), st.booleans())
def test_a_point_and_a_tick_at_its_place_stand_in_the_row_that_labels_reckon_with(x, y, columns, rows, ascii_only):
    cells = drawn(stroke([x], [y]), columns=columns, rows=rows, ascii=ascii_only, ticks=((y, "0.5"),))
    point = [(row, column) for row, column, _, role in cells if role == "valid"]
    assert point == [(row_of(y, rows), column_of(x, columns))]
    assert rows_of(cells, "label") == {row_of(y, rows)}
    assert {row for row, _, sign, _ in cells if sign == "┤"} == {row_of(y, rows)}


def test_a_line_is_split_where_a_value_is_missing():
    cells = drawn(stroke([0.0, 0.2, 0.5, 0.8, 1.0], [0.5, 0.5, np.nan, 0.5, 0.5]))
    columns = sorted(column for _, column, _, role in cells if role == "valid")
    assert max(np.diff(columns)) > 15


@pytest.mark.parametrize("kind", ["bold", "line", "dashed"])
def test_a_line_that_leaves_the_plot_is_cut_at_its_edge_and_comes_back_where_it_returns(kind):
    cells = drawn(stroke([0.0, 0.5, 1.0], [0.5, 1000.0, 0.5], kind))
    columns = [column for _, column, _, role in cells if role == "valid"]
    assert columns
    assert all(column < 2 or column > 37 for column in columns)


def test_lines_that_share_a_cell_are_merged_in_it_and_it_is_the_strongest_ones():
    across, up = stroke([0.0, 1.0], [0.5, 0.5]), stroke([0.5, 0.5], [0.0, 1.0], role="train")
    cells = {(row, column): (sign, role) for row, column, sign, role in drawn(across, up)}
    sign, role = cells[5, 20]
    alone = {(row, column): sign for row, column, sign, _ in drawn(across)}[5, 20]
    assert role == "valid"
    assert ord(sign) & ord(alone) == ord(alone)
    assert sign != alone


def test_five_kinds_of_strokes_differ_without_colour():
    x = np.linspace(0, 1, 25)
    pictures = {
        tuple((row, column, sign) for row, column, sign, _ in drawn(stroke(x, 0.3 + 0.4 * x, kind)))
        for kind in ("bold", "line", "dashed", "dotted", "dots")
    }
    assert len(pictures) == 5


def test_in_ascii_each_stroke_has_a_sign_of_its_own():
    x = np.linspace(0, 1, 40)
    cells = drawn(stroke(x, x, sign="#"), stroke(x, 1 - x, sign="o", role="train"), ascii=True)
    assert {(sign, role) for _, _, sign, role in cells if role in ("valid", "train")} == {
        ("#", "valid"),
        ("o", "train"),
    }


def test_an_x_axis_has_its_ticks_in_the_columns_asked_for():
    cells = build_foot(Foot(columns=60, ticks=((0, "0"), (30, "30"), (59, "60")), lined=True, corner=True))
    assert [column for _, column, sign, _ in sorted(cells) if sign == "┬"] == [0, 30, 59]
    assert (0, -1, "└", "axis") in cells
    assert "".join(sign for row, _, sign, _ in sorted(cells) if row == 1) == "03060"


def test_two_plots_that_look_the_same_to_the_dot_are_equal():
    x = np.linspace(0, 1, 200)
    one, other, third = (
        Plot(strokes=(stroke(x, 0.52 + by + 0 * x),), columns=40, rows=10, ticks=((0.5, "a"),)) for by in (0, 1e-6, 0.2)
    )
    assert one == other
    assert one != third


def test_one_file_knows_plotext_and_touches_no_private_name_of_it():
    knowing = [path for path in CHARTS.parent.rglob("*.py") if "plotext" in imported(path)]
    assert knowing == [CHARTS / "plotter.py"]
    source = (CHARTS / "plotter.py").read_text(encoding="utf-8")
    attributes = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert {name for name in attributes if name.startswith("_")} == {"_key"}  # of our own Plot
    assert "plotext._" not in source


def imported(path):
    """Give the first part of the name of each module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


CALM = """
import sys, numpy as np
from regtui.charts import View, draw
from regtui.core.history import History
assert "plotext" not in sys.modules
history = History()
history.steps.extend(np.arange(1.0, 50), {"step/loss": np.ones(49)})
for ascii_only in (False, True):
    draw(history, 80, 24, View(ascii=ascii_only))
assert "plotext" in sys.modules
"""


def test_plotext_is_imported_with_the_first_curve_and_says_nothing_as_the_process_ends():
    ended = subprocess.run([sys.executable, "-c", CALM], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
