"""The size of a screen, whatever says it."""

import io

import pytest

from regtui.core.size import MOST_CELLS, sound_size
from regtui.report.replay import PIPE_SIZE, screen_size


@pytest.mark.parametrize(
    ("said", "sound"),
    [((80, 24), (80, 24)), ((1, 1), (1, 1)), ((0, 0), (80, 24)), ((0, 50), (80, 50)), ((-1, 10**9), (80, MOST_CELLS))],
)
def test_a_size_is_one_that_can_be_drawn(said, sound):
    assert sound_size(*said) == sound


@pytest.mark.parametrize(
    ("columns", "size"),
    [
        ("99999", (MOST_CELLS, PIPE_SIZE[1])),
        ("9" * 5000, PIPE_SIZE),
        ("0", PIPE_SIZE),
        ("-5", PIPE_SIZE),
        ("٣٢", PIPE_SIZE),
        ("", PIPE_SIZE),
        ("70", (70, PIPE_SIZE[1])),
    ],
)
def test_the_environment_is_believed_as_far_as_there_are_such_screens(monkeypatch, columns, size):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.delenv("LINES", raising=False)
    assert screen_size(io.StringIO()) == size
