"""Records that are not quite ours: written by other tools, by other versions, or by hand."""

import contextlib
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from regtui.core.config import RunConfig, fields, policy_defaults
from regtui.core.events import Record, RunStarted
from regtui.core.fields import ConfigError, check
from regtui.core.plan import Plan

KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(Record))
"""The kinds of record that are known here."""

UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError)
"""What the libraries raise on a line that is not a record."""

COUNTS = ("step", "epoch")

ALWAYS_SAID = ("framework", "dataset", "hidden", "optimizer", "learning_rate", "lr_policy", "batch_size", "epochs")
"""Fields that every version of regtui writes: a `config` without them is another trainer's, and its gaps are no
defaults of ours."""


def event_from(record: dict[str, Any], run_name: Callable[[], str]) -> Record:
    """Make an event of a record whose numbers may be texts or not finite; raises one of `UNREADABLE`.

    A run's record is read whatever is wrong with it; `run_name` gives its name where it has none.
    """
    if record["kind"] == "run":
        return run_from(record, run_name())
    epoch = record.get("epoch")
    if record["kind"] == "epoch" and isinstance(epoch, float) and epoch != int(epoch):
        record = {**record, "kind": "evaluation"}  # half an epoch has ended none
    whole = {
        name: int(record[name])
        for name in COUNTS
        if isinstance(record.get(name), float) and (name, record["kind"]) != ("epoch", "evaluation")
    }
    event: Record = msgspec.convert({**record, **whole}, Record, strict=False)
    return event


def own_config(record: dict[str, Any]) -> bool:
    """Tell whether the `config` of a run's record is regtui's own."""
    config = record.get("config")
    return (
        isinstance(config, dict)
        and (record.get("trainer") or "regtui") == "regtui"
        and all(name in config for name in ALWAYS_SAID)
    )


def with_sound_config(run: RunStarted) -> tuple[RunStarted, list[str]]:
    """Take what cannot be run out of a run's configuration, so that nothing that is drawn from it can fail.

    Returns the run, and what was replaced by defaults, in words.
    """
    config = run.config
    if config is None:
        return run, []
    if next(config.problems(), None) is None and all(
        value is None or getattr(config, name) is not None
        for name, value in policy_defaults(config.lr_policy, config.plateau_per, config.plateau_rule).items()
    ):
        return run, []
    config, problems = _sound_config(msgspec.structs.asdict(config))
    return msgspec.structs.replace(run, config=config), problems


def run_from(record: dict[str, Any], run_id: str) -> RunStarted:
    """Make a run of a record, whatever is wrong with it; `run_id` is its name where it has none."""
    kept: dict[str, Any] = {"run_id": run_id}
    for item in msgspec.structs.fields(RunStarted):
        if item.name in record and item.name not in ("config", "plan"):
            with contextlib.suppress(*UNREADABLE):
                kept[item.name] = msgspec.convert(record[item.name], item.type)
    plan = record.get("plan")
    if isinstance(plan, dict):
        kept["plan"] = Plan(**_readable(plan, Plan))
    asked = record.get("config")
    if own_config(record):
        kept["config"] = RunConfig(**_readable(asked, RunConfig))
    elif isinstance(asked, dict):
        kept["settings"] = {**asked, **kept.get("settings", {})}
    return RunStarted(**kept)


def _readable(values: Any, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Give what of some values a record of this kind can hold."""
    found: dict[str, Any] = {}
    for item in msgspec.structs.fields(kind):
        if item.name in values:
            with contextlib.suppress(*UNREADABLE):
                found[item.name] = msgspec.convert(values[item.name], item.type)
    return found


def _sound_config(values: dict[str, Any]) -> tuple[RunConfig, list[str]]:
    problems: list[str] = []
    for name, field in fields().items():
        try:
            check(field, values[name])
        except ConfigError as problem:
            problems.append(_told(problem))
            del values[name]
    for conflict in list(RunConfig(**values).problems()):
        problems.append(_told(conflict))
        values.pop(conflict.field, None)
    config = RunConfig(**values)
    defaults = policy_defaults(config.lr_policy, config.plateau_per, config.plateau_rule)
    gaps = {name: value for name, value in defaults.items() if getattr(config, name) is None}
    return msgspec.structs.replace(config, **gaps), problems


def _told(problem: ConfigError) -> str:
    return f"{problem.field} of the run {problem.problem}; shown as if it were the default"
