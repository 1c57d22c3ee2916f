"""What a run is made of before its first update, and the records of one that did not come so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regtui import backends, datasets
from regtui.checkpoints import Point
from regtui.core.config import RunConfig
from regtui.core.data import Data
from regtui.core.events import Changed, EpochEnded, Record, Resumed, RunEnded, RunStarted, StepEnded
from regtui.loop import Chunks, Training
from regtui.preparation import check_fits, started


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run that can begin, or go on."""

    data: Data
    backend: backends.Backend
    training: Training
    first: RunStarted | Resumed
    """The run's first record in this process."""
    turned: Sequence[Changed] = ()
    """What was turned by hand at the very step that it goes on from."""

    def chunks(self) -> Chunks:
        return self.training.chunks(self.first, self.turned)


def set_up(
    config: RunConfig,
    resume: Point | None,
    run_id: str,
    *,
    enter: Callable[[str], None],
    checked: Callable[[], None],
    clock: Callable[[], float],
) -> Made:
    """Load, import and build; `enter` hears of each stage, `checked` that the data is there and fits.

    Raises ConfigError or LogError for what cannot be set up, and whatever a framework raises.
    """
    # What is quickly found wrong comes before the framework, whose import takes seconds.
    backends.check(config.framework)
    enter(f"loading {Path(config.dataset).name}")

    def downloading(done: int, total: int) -> None:
        share = f"{100 * done // total} %" if total else f"{done / 1e6:.1f} MB"
        enter(f"downloading {config.dataset}: {share}")

    data = datasets.load(config, progress=downloading)
    check_fits(config, data)
    if resume is not None:
        resume.check_data(data)
    checked()
    enter(f"importing {config.framework}")
    backend_class = backends.find(config.framework)
    enter("building the model")
    backend = backend_class(config, data)
    training = Training(config, backend, data, clock)
    if resume is None:
        first = started(config, backend, data, run_id, clock())
        return Made(data=data, backend=backend, training=training, first=first)
    try:
        resume.put_back(backend, training)
    except BaseException:
        backend.close()
        raise
    resumed = resume.resumed(training.steps_per_epoch, clock())
    return Made(data=data, backend=backend, training=training, first=resumed, turned=resume.turned)


def unbegun(config: RunConfig, resume: Point | None, run_id: str, end: RunEnded) -> list[Record]:
    """Give the records of a run that was not even set up; of one that was to go on, its end where it was."""
    if resume is None:
        return [RunStarted(run_id=run_id, time=end.time, trainer="regtui", config=config), end]
    state = resume.manifest.state
    return [RunEnded(status=end.status, reason=end.reason, step=state.step, epoch=state.epoch, time=end.time)]


def reached(events: Sequence[Record]) -> tuple[int, int] | None:
    """Give the updates and the epochs completed at the end of a chunk; None where nothing was trained in it."""
    for event in reversed(events):
        if isinstance(event, EpochEnded):
            return event.step, event.epoch
        if isinstance(event, StepEnded):
            return event.step, event.epoch - 1
        if isinstance(event, Resumed):
            return event.step, int(event.epoch or 0)
    return None
