"""Draw random histories of every nastiness; run by test_nasty.py in a process of its own, which must live to its end.

    python tests/charts/nasty.py 10000 0      so many histories, from this seed

plotext's kernel ends the whole process on a number that is none: no exception would say so.
"""

import random
import sys

from regtui.charts import STRIPS, View, draw
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Evaluated, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.plan import Plan

NUMBERS = (None, float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 1e-300, 0.3)
PRESETS = ("overfit", "plain", "lr-decay", "plateau")
POLICIES = ("constant", "exponential", "cosine", "linear", "step", "one_cycle", "inverse_time")


def number(dice: random.Random, shape: str) -> float | None:
    """Give a loss, a rate or a norm: whatever a log could hold."""
    if shape == "nasty":
        return dice.choice(NUMBERS)
    if shape == "equal":
        return 0.5
    if shape == "wild":
        return dice.choice((-1, 1)) * 10 ** dice.uniform(-308, 308)
    return dice.choice(NUMBERS) if dice.random() < 0.05 else abs(dice.gauss(0.5, 0.3))


def step(dice: random.Random, at: int) -> int:
    """Give a step: mostly the next, seldom a far or a false one."""
    return at if dice.random() < 0.97 else dice.choice((0, -5, 2**62, -(2**62), at + 10**6))


def started(dice: random.Random) -> RunStarted:
    """Begin a run of ours, or of somebody else."""
    per_epoch = dice.choice((1, 10, 391, 1_000_000))
    if dice.random() < 0.3:
        plan = Plan(total_steps=dice.choice((None, 1, 100, 10**12)), steps_per_epoch=dice.choice((None, 0.5, 40.0)))
        return RunStarted(run_id="a", config=None, plan=plan, settings={"lr_policy": dice.choice(POLICIES)})
    config = RunConfig.create(dice.choice(PRESETS), epochs=dice.choice((1, 20, 1_000_000)))
    return RunStarted(
        run_id="a", config=config, environment={"steps_per_epoch": per_epoch} if dice.random() < 0.9 else {}
    )


def history(dice: random.Random) -> History:
    """Fold a run of random events."""
    made = History()
    shape = dice.choice(("nasty", "equal", "wild", "usual", "usual"))
    layers = [f"layer {at}" for at in range(dice.choice((0, 1, 3, 40)))]
    events: list[object] = [started(dice)] if dice.random() < 0.8 else []
    at = 0
    for _ in range(dice.choice((0, 1, 2, 5, 30, 120))):
        at += dice.choice((0, 1, 1, 7, 500))
        kind = dice.random()
        metrics = {name: number(dice, shape) for name in ("loss", "accuracy", "f1") if dice.random() < 0.8}
        if kind < 0.6:
            rate = number(dice, shape)
            events.append(
                StepEnded(
                    step=step(dice, at), loss=number(dice, shape), penalty=number(dice, shape), learning_rate=rate
                )
            )
        elif kind < 0.85:
            norms = {layer: number(dice, shape) for layer in layers}
            given = {"valid": metrics if dice.random() < 0.8 else None, "train": metrics, "weight_norms": norms}
            events.append(
                EpochEnded(
                    epoch=dice.choice((at // 10, 0, 3)), step=step(dice, at), running_loss=number(dice, shape), **given
                )
            )
        elif kind < 0.92:
            events.append(Evaluated(step=step(dice, at), epoch=dice.choice((None, at / 10)), valid=metrics))
        else:
            cause = dice.choice(("user", "plateau", "floor", "restart", "", "odd\n"))
            events.append(
                Changed(step=step(dice, at), epoch=1, old=number(dice, shape), new=number(dice, shape), cause=cause)
            )
    if dice.random() < 0.3:
        events.append(RunEnded(status=dice.choice(("finished", "diverged", "failed")), step=at, epoch=1))
    made.apply(events)
    return made


def main(count: int, seed: int) -> None:
    """Draw so many histories, each at a size and in a view of its own."""
    dice = random.Random(seed)
    past: History | None = None
    for _ in range(count):
        run = history(dice)
        width, height = (
            (dice.randint(1, 60), dice.randint(1, 20))
            if dice.random() < 0.97
            else (dice.randint(1, 300), dice.randint(1, 80))
        )
        view = View(
            zoom=dice.choice(("all", "half", "tenth")),
            log_y=dice.random() < 0.3,
            smoothing=dice.choice((0.0, 0.0, 0.5, 0.9, 1.0, float("nan"))),
            cursor=dice.choice((None, 0, 3, -1, 10**9)),
            ascii=dice.random() < 0.3,
            strips=tuple(dice.sample([*STRIPS, "no such strip"], dice.randint(1, 4))),
            ghost=past if dice.random() < 0.5 else None,
            show_penalty=dice.random() < 0.5,
            overfit_since=dice.choice((None, 0.0, 10.0, float("nan"), float("inf"), -1e300)),
        )
        preview = RunConfig.create(dice.choice(PRESETS)) if dice.random() < 0.2 else None
        lines = draw(run, width, height, view, preview=preview)
        assert [sum(len(span.text) for span in line) for line in lines] == [width] * height
        past = run


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    print("drawn")
