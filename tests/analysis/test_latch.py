"""The latch that is told of many observations at once, held to one that is told of each."""

import random

import numpy as np
import pytest

from regtui.analysis.latch import SEVERAL, Latch


class OneByOne:
    """The rule as it is said: so many times in a row, and as often to be dropped; at once where it is forced."""

    def __init__(self, enter_after: int) -> None:
        self.on, self.since, self.count, self.first, self.enter_after = False, -1, 0, -1, enter_after

    def feed(self, row: int, *, enter: bool, leave: bool, force: bool) -> None:
        if force:
            if not self.on:
                self.on, self.since = True, row
            self.count = 0
        elif leave if self.on else enter:
            self.first = row if self.count == 0 else self.first
            self.count += 1
            if self.count == (SEVERAL if self.on else self.enter_after):
                self.on, self.since, self.count = not self.on, self.first, 0
        else:
            self.count = 0


@pytest.mark.parametrize("seed", range(60))
def test_many_observations_at_once_turn_it_as_each_of_them_would(seed: int) -> None:
    numbers = random.Random(seed)
    enter_after, count = numbers.choice([2, SEVERAL]), numbers.choice([5, 40, 300])
    often = numbers.choice([0.3, 0.6, 0.9])
    enter, leave, force = (
        np.array([numbers.random() < share for _ in range(count)]) for share in (often, often, numbers.choice([0, 0.1]))
    )
    rows = np.cumsum([numbers.randrange(1, 4) for _ in range(count)])
    plain, latch = OneByOne(enter_after), Latch(enter_after)
    expected = []
    for at, row in enumerate(rows.tolist()):
        plain.feed(row, enter=bool(enter[at]), leave=bool(leave[at]), force=bool(force[at]))
        expected.append((plain.on, plain.since))
    found = []
    start = 0
    while start < count:
        part = slice(start, start + numbers.choice([1, 2, 3, 50]))
        on, since = latch.follow(rows[part], enter=enter[part], leave=leave[part], force=force[part])
        found += zip(on.tolist(), since.tolist(), strict=True)
        start = part.stop
    assert found == expected
