"""The records a run leaves behind, the commands it obeys, and their one-line JSON form.

A run's order is promised: `run (step* change* (epoch | evaluation))* end`, with notes and samples anywhere between; a
`resume` takes it back to an earlier step.
`end` comes on every path, also after an exception or a signal. Numbers that are not finite are written as `null` and
read as None; the fold (`core/history.py`) turns them into NaN. A key that is absent was not measured.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from regtui.core.config import RunConfig
from regtui.core.plan import MOST_COUNT, Plan

Number = float | None
"""A float that may have been written as null because it was not finite."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNT)]
"""A count of steps or epochs; every one of them is exact as a float, too."""

Knob = Literal["learning_rate", "l2", "l1", "weight_decay", "dropout"]
"""What can be turned while a run lives."""

How = Literal["hold", "scale"]
"""How a rate is steered: held at one value, or the policy's rates multiplied."""

FORMAT = 2
"""Version of the log format; readers of a newer one still skip what they do not know.

Version 2 added to version 1: `trainer`, `settings`, `plan` and `listens` of a run, `how` of a change, free `metrics`,
and the kinds `evaluation`, `system` and `resume`.
"""

Metrics = dict[str, Number]
"""What one split measures, by quantity: `loss` (mean, of regtui's own runs a cross entropy in nats), `accuracy` (share
of the rows whose largest logit is the label's, 0 to 1) and whatever else a trainer knows."""


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="kind"):
    """A run begins: what was asked for, and where it runs."""

    format: int = FORMAT
    """Version of the log format."""
    run_id: str
    """Name of the run and of its folder."""
    time: Number = None
    """Seconds since the epoch of Unix, on the machine that trains; so in every record."""
    trainer: str = ""
    """Who trains: `regtui`, `keras`, `lightning`, `own loop`, ...; empty where the log does not say."""
    config: RunConfig | None = None
    """Every field of the configuration, for a run that regtui itself trains and for no other."""
    settings: dict[str, Any] = {}
    """What was set, by the trainer's own names, for any run."""
    plan: Plan | None = None
    """How long the run is to be, as far as its trainer knows."""
    listens: tuple[str, ...] = ()
    """Names of the commands that the trainer obeys; see `COMMANDS`."""
    environment: dict[str, Any] = {}
    """Versions, device, parameters."""
    open_end: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether the log's format has no word for the end of a run; never in a log of ours, which has one."""


class StepEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="step", tag_field="kind"):
    """One optimizer update has finished; of a very long run several, by their mean, at the last of them."""

    step: Count
    """Updates completed so far; the first record carries 1."""
    epoch: Count = 0
    """The epoch the update belongs to, from 1."""
    loss: Number = None
    """Data loss of the batch as trained: dropout on, penalty not included."""
    penalty: Number = None
    """The L2 and L1 terms alone, at the weights the batch was computed with."""
    learning_rate: Number = None
    """The rate used for this update."""
    metrics: Metrics | msgspec.UnsetType = msgspec.UNSET
    """What else was measured at this update, such as `grad_norm`; absent in most logs."""
    time: Number = None
    """When it finished; the steps of one chunk may share it."""


class EpochEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="epoch", tag_field="kind"):
    """One pass over the training split has finished."""

    epoch: Count
    """Epochs completed, from 1."""
    step: Count = 0
    """Updates completed at its end; 0 or absent where the trainer does not count them."""
    train: Metrics | None = None
    """Measured after the epoch, dropout off, without penalty; absent when not measured at this epoch."""
    valid: Metrics | None = None
    """The same of the validation split; with `train` the only pair from which a gap is computed."""
    running_loss: Number = None
    """Mean of the epoch's batch losses, dropout on, each row weighing the same."""
    penalty: Number = None
    """The L2 and L1 terms at the end of the epoch."""
    learning_rate: Number = None
    """The rate used for the epoch's last update."""
    weight_norms: Metrics = {}
    """L2 norm of each kernel, by layer name."""
    metrics: Metrics = {}
    """What else was measured, by name."""
    seconds: Number = None
    """Training time of the epoch, evaluation apart."""
    evaluate_seconds: Number = None
    """Time of the evaluation after it."""
    time: Number = None
    """When it ended."""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="evaluation", tag_field="kind"):
    """Metrics were measured at a step that ends no epoch."""

    step: Count
    """Updates completed."""
    epoch: Number = None
    """Passes over the training rows so far, with a fraction; absent where the trainer does not count them."""
    train: Metrics | None = None
    """The training split, or the training loss as the trainer knows it."""
    valid: Metrics | None = None
    """The split that the trainer validates on."""
    metrics: Metrics = {}
    """What else was measured, by name."""
    learning_rate: Number = None
    """The rate used for the newest update."""
    time: Number = None
    """When it was measured."""


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="change", tag_field="kind"):
    """Something took a new value at one step: a plateau or step drop, the floor reached, a knob turned."""

    step: Count
    """Updates completed when it changed: the next update is the first to use `new`."""
    epoch: Count = 0
    """The epoch it belongs to, from 1."""
    what: str = "learning_rate"
    """Which quantity: `learning_rate` or a knob."""
    old: Number = None
    """Its value before."""
    new: Number = None
    """Its value from now on."""
    cause: str = ""
    """`plateau`, `step`, `restart`, `floor` or `user`."""
    how: How | msgspec.UnsetType = msgspec.UNSET
    """How a person steers the rate from now on; absent for all else, and in logs of version 1."""
    time: Number = None
    """When it changed."""


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="note", tag_field="kind"):
    """A line for the event log."""

    step: Count = 0
    """Updates completed when it was said."""
    epoch: Count = 0
    """The epoch then running."""
    level: str = "info"
    """`info`, `warning`, `error`, `output` for a line that a framework printed, or `state`: the text is what the run
    does from now on, `paused`, `training` or `stopping`."""
    text: str = ""
    """One line for a person."""
    time: Number = None
    """When it was said."""


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="end", tag_field="kind"):
    """The run is over."""

    status: str
    """`finished`, `stopped`, `early_stopped`, `diverged` or `failed`."""
    reason: str = ""
    """Why, in one sentence, where the status alone does not say."""
    step: Count = 0
    """Updates completed."""
    epoch: Count = 0
    """Epochs completed."""
    test: Metrics | None = None
    """The test split, measured once, here, never to choose anything."""
    time: Number = None
    """When it ended."""


class SystemSampled(msgspec.Struct, frozen=True, kw_only=True, tag="system", tag_field="kind"):
    """The machine that trains was looked at."""

    time: Number = None
    """When."""
    step: Count = 0
    """Updates completed."""
    metrics: Metrics = {}
    """`gpu0/utilization` (0 to 1), `gpu0/memory` and `rss` (bytes), `cpu` (processors kept busy), ...: the
    names stand in `regtui.system`."""


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resume", tag_field="kind"):
    """The run goes on from an earlier point, such as a checkpoint: what was recorded after it is void."""

    step: Count = 0
    """Updates completed at that point: the next one is `step + 1`."""
    epoch: Number = None
    """Passes over the training rows at that point, where they are counted; alone where steps are not."""
    time: Number = None
    """When it went on."""


Record = RunStarted | StepEnded | EpochEnded | Evaluated | Changed | Noted | SystemSampled | Resumed | RunEnded
"""What a log holds, a line each."""


class Rows(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Many measurements at once, as a reader finds them in the log of another trainer; no line of a log of ours.

    They go where their steps belong in one table of the History: a step that has a row already is filled in.
    """

    table: Literal["steps", "evaluations", "system"]
    step: NDArray[np.float64]
    """Updates completed at each row, shape (n,); all NaN where the trainer does not count them: then the column
    `epoch` of `columns` says where the rows are."""
    columns: Mapping[str, NDArray[np.float64]]
    """Name in that table -> numbers, shape (n,), NaN where there is none."""

    @property
    def time(self) -> Number:
        """When the last of them was measured; None where nobody says."""
        times = self.columns.get("time", np.empty(0))
        return float(times[-1]) if len(times) and np.isfinite(times[-1]) else None

    def part(self, start: int, stop: int) -> "Rows":
        """Give some of the rows."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return Rows(table=self.table, step=self.step[start:stop], columns=columns)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Weights that a run has saved, known by a name alone."""

    name: str
    """Of the file or folder."""
    step: int | None = None
    """Updates completed, where the name says it."""
    epoch: int | None = None
    """Epochs completed, from 1, where the name says it."""


class CheckpointsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoints beside a log, all of them; no line of a log of ours."""

    checkpoints: tuple[Checkpoint, ...]
    """In the order of their making."""
    time: Number = None
    """Nobody says when."""


Event = Record | Rows | CheckpointsSeen
"""What a source gives."""


class Pause(msgspec.Struct, frozen=True, tag="pause", tag_field="command"):
    """Wait after the chunk in hand."""


class Resume(msgspec.Struct, frozen=True, tag="resume", tag_field="command"):
    """Go on."""


class RunEpoch(msgspec.Struct, frozen=True, tag="epoch", tag_field="command"):
    """Go on to the end of the epoch, then pause."""


class Stop(msgspec.Struct, frozen=True, tag="stop", tag_field="command"):
    """End the run after the chunk in hand."""

    reason: str = ""
    """What asked for it, such as the name of a signal."""


class SetKnob(msgspec.Struct, frozen=True, tag="knob", tag_field="command"):
    """Turn a knob from the next chunk on."""

    knob: Knob
    """Which."""
    value: float
    """Its new value; for `learning_rate` with `scale`, a factor on what the policy does."""
    scale: bool = False
    """With `learning_rate`: multiply the policy's rates instead of holding one value."""


Command = Pause | Resume | RunEpoch | Stop | SetKnob

COMMANDS: dict[str, type[Command]] = {
    str(kind.__struct_config__.tag): kind for kind in (Pause, Resume, RunEpoch, Stop, SetKnob)
}
"""Name in a log -> command."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(event: Record) -> bytes:
    """Write one event as one line of strict JSON, line break included."""
    return _encoder.encode(event) + b"\n"


def encode_lines(events: Iterable[Record]) -> bytes:
    """Write events as lines of strict JSON."""
    return _encoder.encode_lines(events)


def decode(line: bytes) -> Record:
    """Read one line as an event.

    Raises msgspec.DecodeError when it is not JSON, and msgspec.ValidationError when it is JSON but not an event.
    """
    return _decoder.decode(line)


def decode_lines(block: bytes) -> list[Record]:
    """Read whole lines at once, several times as fast as one by one; raises as `decode` does."""
    return _decoder.decode_lines(block)
