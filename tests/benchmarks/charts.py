"""Time the charts: a frame by size and by points, what one frame of a living run costs, and plotext alone beside it.

    python tests/benchmarks/charts.py

Times are CPU time of the drawing thread (a frame competes with training for it), the median of many frames.
`cold`: every dot has changed since the last frame, nothing is kept. `live`: one more step has come, as in the lab.
`plotext`: the bare build of the same plots, its input ready, in the same run and turn by turn with the frame.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from regtui.charts import View, draw
from regtui.charts.kept import _Kept
from regtui.charts.plotter import Plot, build
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Metrics, RunStarted, StepEnded
from regtui.core.history import History

GOAL_MS = 15
"""Most that a frame may cost at 140x40: twice a second this is within 3 % of one core."""

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


def forget(run: History) -> None:
    """Make the next frame build every plot, as if each dot had moved."""
    run.derived(_Kept).made.clear()


def milliseconds(*frames: Callable[[], object], before: Callable[[], object] = lambda: None) -> list[float]:
    """Give the median CPU time of each frame, taken turn by turn after a turn that warms up."""
    taken: list[list[float]] = [[] for _ in frames]
    for _ in range(FRAMES + 1):
        for frame, times in zip(frames, taken, strict=True):
            before()
            start = time.thread_time()
            frame()
            times.append(time.thread_time() - start)
    return [float(np.median(times[1:])) * 1e3 for times in taken]


def plots_of(run: History, width: int, height: int, view: View) -> list[Plot]:
    """Give the plots of a frame, ready to be built."""
    draw(run, width, height, view)
    made = run.derived(_Kept).made
    found = [made[name][0] for name in view.strips if name in made]
    plots = [key for key in found if isinstance(key, Plot)]
    for plot in plots:
        assert plot.dots is not None
    return plots


def by_size() -> None:
    """Print a frame's cost by size and strips."""
    run = history(10_000)
    print(f"{'size':>8}  {'strips':24}{'cold ms':>9}{'live ms':>9}{'same ms':>9}{'plotext ms':>12}{'cold/plotext':>14}")
    many = View(strips=("loss", "rate", "gap", "norms"))
    for width, height in ((80, 24), (100, 30), (140, 40)):
        for view in (View(), View(overfit_since=3000, ghost=run), many):
            plots = plots_of(run, width, height, view)

            def frame(width: int = width, height: int = height, view: View = view) -> None:
                draw(run, width, height, view)

            def bare(plots: list[Plot] = plots) -> None:
                for plot in plots:
                    build(plot)

            name = "+".join(view.strips) + (" ghost" if view.ghost else "")
            cold, alone = milliseconds(frame, bare, before=lambda: forget(run))
            live, (same,) = milliseconds(frame, before=lambda: one_more(run))[0], milliseconds(frame)
            times = f"{cold:>9.2f}{live:>9.2f}{same:>9.2f}{alone:>12.2f}{cold / alone:>14.2f}"
            print(f"{width:>4}x{height:<3}  {name:24}{times}")
    print(f"goal: at most {GOAL_MS} ms at 140x40 with the lab's strips, which there have 2/3 of that width")


def one_more(run: History) -> None:
    """Let one more step end."""
    loss = 0.3 + 0.05 * float(np.random.default_rng(run.step).standard_normal())
    run.apply([StepEnded(step=run.step + 1, epoch=61, loss=loss, learning_rate=1e-3)])


def by_points() -> None:
    """Print a frame's cost by the points of the run, and what the first frame after loading them adds."""
    print(f"\n{'points':>9}{'first ms':>10}{'cold ms':>9}{'live ms':>9}{'smoothed ms':>13}")
    costs = []
    for steps in (1_000, 10_000, 100_000, 1_000_000):
        run = history(steps)
        start = time.thread_time()
        draw(run, 100, 30)
        first = (time.thread_time() - start) * 1e3

        def frame(run: History = run, view: View | None = None) -> None:
            draw(run, 100, 30, view)

        def smoothed(run: History = run) -> None:
            draw(run, 100, 30, View(smoothing=0.9))

        cold, smooth = milliseconds(frame, smoothed, before=lambda run=run: forget(run))
        (live,) = milliseconds(frame, before=lambda run=run: one_more(run))
        costs.append(cold)
        print(f"{steps:>9,}{first:>10.2f}{cold:>9.2f}{live:>9.2f}{smooth:>13.2f}")
    print(f"\n1,000,000 points against 1,000: {costs[-1] / costs[0]:.2f} times (goal: at most 1.5)")


if __name__ == "__main__":
    by_size()
    by_points()
