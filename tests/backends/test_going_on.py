"""A training whose state was taken out and put into another goes on to the bit, whatever it is made of."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from regtui import backends, loop
from regtui.checkpoints.state import RunState
from regtui.core.config import RunConfig, fields
from regtui.core.events import EpochEnded, Record, Resumed, RunStarted, SetKnob, StepEnded
from regtui.core.policies import policies
from regtui.loop import Training
from regtui.preparation import started

OPTIMIZERS = fields()["optimizer"].choices
CASES = [
    *[{"optimizer": name, "lr_policy": "plateau", "patience": 4} for name in OPTIMIZERS],
    {"optimizer": "adam", "precision": "float64", "lr_policy": "cosine", "l1": 1e-4},
    {"optimizer": "momentum", "lr_policy": "step", "every": 1, "weight_decay": 0.1},
]
"""What a backend's state is made of: each optimizer, both precisions, each penalty, and the masks of dropout."""
POLICY_CASES = [
    *[{"lr_policy": name, "optimizer": "adamw"} for name in policies()],
    {"lr_policy": "plateau", "plateau_per": "epoch", "patience": 0, "threshold": 0.3, "warmup": 12, "l1": 1e-4},
    {"lr_policy": "plateau", "plateau_rule": "keras", "patience": 3, "optimizer": "adamw", "weight_decay": 0.1},
]
"""What does not depend on the framework, with the one that builds its graphs faster."""
ALL = [(name, given) for name in backends.names() for given in CASES] + [("torch", given) for given in POLICY_CASES]
PLAIN = str.maketrans("", "", "{}' ")
SPLIT_AT = 25
"""Within the second epoch of 16 updates, the last of 40 rows instead of 64."""


def config_of(framework: str, **given: object) -> RunConfig:
    given = {
        "framework": framework,
        "epochs": 3,
        "batch_size": 64,
        "dropout": 0.3,
        "l2": 1e-4,
        "hidden": (16,),
        **given,
    }
    return RunConfig.create("overfit", device="cpu", seed=3, **given)


def driven(training: Training, first: RunStarted | Resumed, until: int = 10**9) -> Iterator[Record]:
    """Drive a training on, turning two knobs on the way; leave it at the end of the chunk with a step."""
    chunks = training.chunks(first)
    commands = {20: SetKnob("dropout", 0.5), 22: SetKnob("learning_rate", 0.7, scale=True)}
    events = next(chunks)
    while True:
        yield from events
        if training.step >= until:
            return
        try:
            events = chunks.send(commands.pop(training.step, None)) or []
        except StopIteration:
            return


def numbers(events: list[Record]) -> list[bytes]:
    """Write records as their lines, apart from what a stopwatch says."""
    return [
        msgspec.json.encode(
            msgspec.structs.replace(event, seconds=0.0, evaluate_seconds=0.0)
            if isinstance(event, EpochEnded)
            else event
        )
        for event in events
    ]


@pytest.mark.parametrize(("framework", "given"), ALL, ids=lambda given: str(given).translate(PLAIN))
def test_a_training_goes_on_to_the_bit_from_files_and_json(framework, digits, tmp_path, monkeypatch, given):
    if not backends.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    monkeypatch.setattr(loop, "MOST_STEPS_AT_ONCE", 1)
    config = config_of(framework, **given)
    make = backends.find(framework)
    # One after the other: torch's masks are drawn from a generator of the process.
    whole_backend = make(config, digits)
    start = whole_backend.snapshot()
    whole = Training(config, whole_backend, digits, lambda: 0.0)
    never_stopped = list(driven(whole, started(config, whole_backend, digits, "r", 0.0)))

    first_backend = whole_backend
    first_backend.restore(start)
    for knob in ("l2", "l1", "weight_decay", "dropout"):
        first_backend.set_knob(knob, getattr(config, knob))
    first = Training(config, first_backend, digits, lambda: 0.0)
    before = list(driven(first, started(config, first_backend, digits, "r", 0.0), SPLIT_AT))
    first_backend.save(first_backend.snapshot(), tmp_path)
    written = json.dumps(msgspec.to_builtins(first.state()))
    second_backend = make(config, digits)
    second = Training(config, second_backend, digits, lambda: 0.0)
    second_backend.load(tmp_path)
    second.restore(msgspec.convert(json.loads(written), RunState))
    resumed, *after = driven(second, Resumed(step=SPLIT_AT, time=0.0))
    assert isinstance(resumed, Resumed)
    assert numbers(before + after) == numbers(never_stopped)
    assert len([event for event in never_stopped if isinstance(event, StepEnded)]) == 48
    for backend in (first_backend, second_backend):
        backend.close()
