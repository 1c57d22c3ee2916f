"""The frame budget, with a clock moved by hand."""

import pytest

from regtui.tui.budget import BYTES_A_CELL, FASTEST, LINE_SHARE, SHARE, SLOWEST, FrameBudget


def draw(budget: FrameBudget, now: float, cost: float) -> None:
    budget.begin(now)
    budget.end(cost)


def run(budget: FrameBudget, cost: float, seconds: float) -> list[float]:
    """Draw whenever a frame is due; gives the times of the frames."""
    now, drawn = 0.0, []
    while now < seconds:
        wait = budget.wait(now)
        if wait:
            now += wait
            continue
        draw(budget, now, cost)
        drawn.append(now)
    return drawn


def test_the_first_frame_is_due_at_once() -> None:
    assert FrameBudget().wait(123.0) == 0.0


def test_a_cheap_frame_is_drawn_ten_times_a_second() -> None:
    assert len(run(FrameBudget(), cost=0.0001, seconds=10.0)) == pytest.approx(10 * FASTEST, abs=1)


@pytest.mark.parametrize("cost", [0.004, 0.008, 0.015, 0.019])
def test_drawing_takes_its_share_of_the_time_and_never_three_percent(cost: float) -> None:
    frames = run(FrameBudget(), cost, seconds=100.0)
    share = len(frames) * cost / 100.0
    assert share == pytest.approx(SHARE, rel=0.05)
    assert share < 0.03


def test_a_frame_that_costs_too_much_is_still_drawn_once_a_second() -> None:
    assert len(run(FrameBudget(), cost=0.5, seconds=60.0)) == pytest.approx(60 * SLOWEST, abs=1)


def test_one_slow_frame_does_not_slow_the_next_ones_for_long() -> None:
    budget = FrameBudget()
    for at in range(20):
        draw(budget, at * 0.2, 0.005)
    usual = budget.interval
    draw(budget, 4.0, 0.1)
    assert budget.interval > 2 * usual
    for at in range(15):
        draw(budget, 5.0 + at, 0.005)
    assert budget.interval == pytest.approx(usual, rel=0.1)


def test_frames_and_their_cost_are_counted() -> None:
    budget = FrameBudget()
    draw(budget, 0.0, 0.010)
    draw(budget, 1.0, 0.020)
    assert budget.frames == 2
    assert budget.spent_seconds == pytest.approx(0.030)


def test_news_that_comes_while_a_frame_is_drawn_waits_for_the_next_one() -> None:
    budget = FrameBudget()
    draw(budget, 0.0, 0.015)
    budget.begin(1.0)
    assert budget.wait(1.01) == pytest.approx(0.015 / SHARE - 0.01)


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4000), (140, 40, 10_000)])
@pytest.mark.parametrize("sent", [800, 2000])
def test_what_is_sent_a_second_stays_under_what_the_screen_may_take(
    columns: int, rows: int, most: int, sent: int
) -> None:
    budget = FrameBudget(cells=columns * rows)
    now, total = 0.0, 0
    while now < 100.0:
        budget.begin(now)
        budget.end(0.0001, sent)
        total += sent
        now += budget.wait(now)
    assert total / 100.0 < most
    assert total / 100.0 > min(BYTES_A_CELL * columns * rows, FASTEST * sent) * 0.9


def test_a_line_that_takes_long_is_mostly_free() -> None:
    budget = FrameBudget()
    budget.begin(0.0)
    budget.end(0.0001, 100, way=0.25)
    assert budget.interval == pytest.approx(0.25 / LINE_SHARE)
    budget.end(0.0001, 100, way=30.0)
    assert budget.interval == 1 / SLOWEST
