"""Time the charts: milliseconds a frame by size and by points, and what one frame of a living run costs.

    python tests/benchmarks/charts.py

Times are CPU time of the drawing thread (a frame competes with training for it), the median of many frames.
`cold`: every dot has changed since the last frame, nothing is remembered. `live`: one more step has come.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from regtui.charts import View, draw
from regtui.charts.canvas import _lay
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Metrics, RunStarted, StepEnded
from regtui.core.history import History

FRAMES = 41


def history(steps: int, epochs: int = 60) -> History:
    """Make a run that overfits, of so many steps in all."""
    per_epoch = max(steps // epochs, 1)
    made = History()
    config = RunConfig.create("overfit", epochs=epochs)
    made.apply([RunStarted(run_id="a", config=config, environment={"steps_per_epoch": per_epoch})])
    rng = np.random.default_rng(0)
    losses = 0.3 + 2 * np.exp(-np.arange(steps) / (0.1 * steps)) + 0.05 * rng.standard_normal(steps)
    columns = {
        "step/loss": losses,
        "penalty": np.full(steps, 0.05),
        "learning_rate": 1e-3 * np.exp(-np.arange(steps) / steps),
        "time": np.arange(float(steps)),
    }
    made.steps.extend(np.arange(1.0, steps + 1), columns)
    made.apply(
        EpochEnded(
            epoch=number,
            step=number * per_epoch,
            train=Metrics(loss=0.6 * math.exp(-number / 9)),
            valid=Metrics(loss=0.55 * math.exp(-number / 5) + 0.26 + 0.005 * max(0, number - 18)),
            running_loss=0.4,
            learning_rate=1e-3,
            weight_norms={"hidden_1": 14 + number * 0.1, "hidden_2": 10.0, "output": 5.0},
        )
        for number in range(1, epochs + 1)
    )
    return made


def milliseconds(frame: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Give the median CPU time of a frame, after one that warms up."""
    taken = []
    for _ in range(FRAMES + 1):
        before()
        start = time.thread_time()
        frame()
        taken.append(time.thread_time() - start)
    return float(np.median(taken[1:])) * 1e3


def by_size() -> None:
    """Print a frame's cost by size and strips."""
    run = history(20_000)
    print(f"{'size':>8}  {'strips':24}{'cold ms':>9}{'same ms':>9}")
    for width, height in ((80, 24), (100, 30), (140, 40)):
        for view in (View(), View(overfit_since=18, ghost=run), View(strips=("loss", "rate", "gap", "norms"))):

            def frame(width: int = width, height: int = height, view: View = view) -> None:
                draw(run, width, height, view)

            name = "+".join(view.strips) + (" ghost" if view.ghost else "")
            cold, same = milliseconds(frame, _lay.cache_clear), milliseconds(frame)
            print(f"{width:>4}x{height:<3}  {name:24}{cold:>9.2f}{same:>9.2f}")


def by_points() -> None:
    """Print a frame's cost by the points of the run, and what the first frame after loading them adds."""
    print(f"\n{'points':>9}{'first ms':>10}{'cold ms':>9}{'live ms':>9}{'smoothed ms':>13}")
    costs = []
    for steps in (1_000, 10_000, 100_000, 1_000_000):
        run = history(steps)
        start = time.thread_time()
        draw(run, 100, 30)
        first = (time.thread_time() - start) * 1e3
        cold = milliseconds(lambda run=run: draw(run, 100, 30), _lay.cache_clear)
        smoothed = milliseconds(lambda run=run: draw(run, 100, 30, View(smoothing=0.9)), _lay.cache_clear)

        def one_more(run: History = run) -> None:
            run.apply([StepEnded(step=run.step + 1, epoch=61, loss=0.3, learning_rate=1e-3)])

        live = milliseconds(lambda run=run: draw(run, 100, 30), one_more)
        costs.append(cold)
        print(f"{steps:>9,}{first:>10.2f}{cold:>9.2f}{live:>9.2f}{smoothed:>13.2f}")
    print(f"\n1,000,000 points against 1,000: {costs[-1] / costs[0]:.2f} times (goal: at most 1.5)")


if __name__ == "__main__":
    by_size()
    by_points()
