"""Everybody is told in their own time, and nobody waits for another."""

import threading

from regtui.core.events import Resumed, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.notify.audience import MOST_WAITING, Audience
from regtui.notify.notices import Notice
from regtui.notify.teller import Teller

NOTICES = [Notice("end", f"regtui: {number} finished", "") for number in range(MOST_WAITING + 4)]


class Way:
    """Tells once it is let."""

    def __init__(self, name: str, problem: str = "") -> None:
        self.name = name
        self.free, self.begun = threading.Event(), threading.Event()
        self.told: list[Notice] = []
        self.problem = problem

    def tell(self, notice: Notice) -> str:
        self.begun.set()
        assert self.free.wait(60)
        self.told.append(notice)
        return self.problem


def test_a_way_that_hangs_holds_up_no_other_and_nobody_waits_for_it() -> None:
    quick, hangs = Way("quick"), Way("hangs")
    quick.free.set()
    audience = Audience([hangs, quick])
    audience.tell(NOTICES[:2])
    assert audience.settle(0.01)[-2:] == [
        "hangs was not told 'regtui: 0 finished': it took too long",
        "hangs was not told 'regtui: 1 finished': it took too long",
    ]
    hangs.free.set()
    assert audience.settle(60) == []
    assert quick.told == hangs.told == NOTICES[:2]


def test_what_is_too_much_for_a_way_is_said_and_let_go() -> None:
    hangs = Way("hangs")
    audience = Audience([hangs])
    audience.tell(NOTICES)
    assert len(audience.problems()) == 4
    hangs.free.set()
    assert audience.settle(60) == []
    assert hangs.told == NOTICES[:MOST_WAITING]


def test_what_went_wrong_is_said_once() -> None:
    way = Way("a://b", problem="it answered 500")
    way.free.set()
    audience = Audience([way])
    audience.tell(NOTICES[:1])
    assert audience.settle(60) == ["a://b was not told 'regtui: 0 finished': it answered 500"]
    assert audience.problems() == []


def test_without_a_notice_there_is_no_thread() -> None:
    before = threading.active_count()
    assert Audience([Way("a")]).settle(60) == []
    assert threading.active_count() == before


def test_of_a_run_that_goes_on_only_what_comes_is_told_and_by_its_name() -> None:
    way = Way("quick")
    way.free.set()
    known = History()
    known.apply([RunStarted(run_id="a-run", time=0.0), StepEnded(step=1, loss=1.0), RunEnded(status="stopped", step=1)])
    audience = Audience([way])
    teller = Teller(audience, known)
    teller.see([Resumed(step=1), StepEnded(step=2, loss=0.9), RunEnded(status="finished", step=2)])
    teller.end()
    teller._follow()
    assert audience.settle(60) == []
    assert [notice.title for notice in way.told] == ["regtui: a-run finished"]
