"""RunConfig: what was asked for, the one place for defaults and ranges, and checks that name the field.

The form, the command line and the log are all made from the fields below: a field added here appears in
each of them. Fields that belong to a learning-rate policy are None until the policy is known; `RunConfig.create`
fills in the defaults of the policy that was chosen.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, get_type_hints

import msgspec

from regtui.core.fields import ConfigError as ConfigError
from regtui.core.fields import Field as Field
from regtui.core.fields import check
from regtui.core.fields import parse as parse
from regtui.core.fields import unparse as unparse
from regtui.core.optimizers import OPTIMIZERS, optimizers_hint
from regtui.core.policies import policies
from regtui.core.presets import DEFAULT_PRESET, PRESETS

PRECISIONS = ("float32", "float64")
DEVICES = ("auto", "cpu", "cuda", "mps")


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that defines a run."""

    # fmt: off
    # A table: one field an entry, its sentence on a line of its own.
    framework: Annotated[str, Field(
        label="Framework", group="run", kind="text",
        hint="who does the arithmetic; the same configuration means the same in each")] = "torch"
    dataset: Annotated[str, Field(
        label="Data", group="data", kind="text",
        hint="digits, mnist, fashion_mnist, or the path of an .npz or .csv file")] = "digits"
    train_rows: Annotated[int | None, Field(
        label="Train rows", group="data", kind="integer", at_least=1, at_most=1_000_000_000, optional=True, empty="all",
        hint="fewer rows are easier to memorise; empty: all but the validation rows")] = None
    label_noise: Annotated[float, Field(
        label="Label noise", group="data", kind="number", at_least=0, below=1,
        hint="share of the training labels replaced at random; validation stays clean")] = 0.0
    hidden: Annotated[tuple[int, ...], Field(
        label="Hidden", group="model", kind="widths", at_least=1, at_most=65536,
        hint="widths of the hidden layers, each followed by ReLU and dropout")] = (200, 100)
    optimizer: Annotated[str, Field(
        label="Optimizer", group="optimizer", kind="choice", choices=tuple(OPTIMIZERS),
        hint=optimizers_hint())] = "adam"
    learning_rate: Annotated[float, Field(
        label="Learning rate", group="optimizer", kind="number", above=0, at_most=1e6, live=True,
        hint="where the policy starts (one_cycle: its peak)")] = 1e-3
    l2: Annotated[float, Field(
        label="L2", group="regularization", kind="number", at_least=0, at_most=1e6, live=True,
        hint="penalty l2 * sum(w^2) over kernels, added to the loss that is minimised")] = 0.0
    l1: Annotated[float, Field(
        label="L1", group="regularization", kind="number", at_least=0, at_most=1e6, live=True,
        hint="penalty l1 * sum(|w|) over kernels")] = 0.0
    weight_decay: Annotated[float, Field(
        label="Weight decay", group="regularization", kind="number", at_least=0, at_most=1e6, live=True,
        hint="decoupled: each update also takes learning rate * weight decay * w off the kernels")] = 0.0
    dropout: Annotated[float, Field(
        label="Dropout", group="regularization", kind="number", at_least=0, below=1, live=True,
        hint="share of the hidden units switched off at random while training")] = 0.0
    lr_policy: Annotated[str, Field(
        label="LR policy", group="policy", kind="choice",
        hint="how the learning rate moves during the run")] = "constant"
    lr_decay: Annotated[float | None, Field(
        label="Decay", group="policy", kind="number", above=0, at_most=1e6, optional=True,
        hint="exponential: factor per step, at most 1; inverse_time: LR = start / (1 + decay * step)")] = None
    lr_floor: Annotated[float | None, Field(
        label="Floor", group="policy", kind="number", at_least=0, at_most=1e6, optional=True,
        hint="the rate at which the policy stops falling")] = None
    plateau_per: Annotated[str | None, Field(
        label="Plateau of", group="policy", kind="choice", choices=("step", "epoch"), optional=True,
        hint="step: watch each batch loss; epoch: watch the validation loss")] = None
    patience: Annotated[int | None, Field(
        label="Patience", group="policy", kind="integer", at_least=0, at_most=1_000_000_000, optional=True,
        hint="steps (or epochs) without improvement that are put up with")] = None
    factor: Annotated[float | None, Field(
        label="Factor", group="policy", kind="number", above=0, below=1, optional=True,
        hint="the rate is multiplied by this at each plateau")] = None
    threshold: Annotated[float | None, Field(
        label="Threshold", group="policy", kind="number", at_least=0, at_most=1e6, optional=True,
        hint="how much better a loss must be to count as an improvement")] = None
    threshold_mode: Annotated[str | None, Field(
        label="Threshold is", group="policy", kind="choice", choices=("rel", "abs"), optional=True,
        hint="rel: a share of the best loss; abs: a difference from it")] = None
    cooldown: Annotated[int | None, Field(
        label="Cooldown", group="policy", kind="integer", at_least=0, at_most=1_000_000_000, optional=True,
        hint="steps (or epochs) after a drop in which nothing is counted")] = None
    lr_eps: Annotated[float | None, Field(
        label="Smallest drop", group="policy", kind="number", at_least=0, at_most=1e6, optional=True,
        hint="a drop smaller than this is not made")] = None
    plateau_rule: Annotated[str | None, Field(
        label="Rule", group="policy", kind="choice", choices=("torch", "keras"), optional=True,
        hint="whose ReduceLROnPlateau: torch fires when bad > patience, Keras at wait >= patience")] = None
    gamma: Annotated[float | None, Field(
        label="Gamma", group="policy", kind="number", above=0, at_most=1, optional=True,
        hint="the rate is multiplied by this at each step down")] = None
    every: Annotated[int | None, Field(
        label="Every", group="policy", kind="integer", at_least=1, at_most=1_000_000, optional=True,
        hint="epochs between two steps down")] = None
    restart_every: Annotated[int | None, Field(
        label="Restart every", group="policy", kind="integer", at_least=0, at_most=1_000_000, optional=True,
        hint="epochs of the first cosine before it starts again; 0: one cosine over the run")] = None
    restart_mult: Annotated[int | None, Field(
        label="Restart times", group="policy", kind="integer", at_least=1, at_most=1_000, optional=True,
        hint="each cosine is this many times as long as the one before")] = None
    power: Annotated[float | None, Field(
        label="Power", group="policy", kind="number", above=0, at_most=100, optional=True,
        hint="how strongly the polynomial bends; 1 is linear")] = None
    rise: Annotated[float | None, Field(
        label="Rise", group="policy", kind="number", above=0, below=1, optional=True,
        hint="share of the run in which the rate goes up")] = None
    warmup: Annotated[int, Field(
        label="Warm-up", group="policy", kind="integer", at_least=0, at_most=1_000_000_000,
        hint="steps in which the rate first rises from near 0, in front of any policy")] = 0
    epochs: Annotated[int, Field(
        label="Epochs", group="run", kind="integer", at_least=1, at_most=1_000_000,
        hint="passes over the training rows")] = 20
    batch_size: Annotated[int, Field(
        label="Batch size", group="optimizer", kind="integer", at_least=1, at_most=1_000_000,
        hint="rows in one optimizer update")] = 128
    early_stopping: Annotated[int, Field(
        label="Early stopping", group="run", kind="integer", at_least=0, at_most=1_000_000,
        hint="epochs without a better validation loss before the run stops; 0: off")] = 0
    keep_going: Annotated[bool, Field(
        label="Keep going", group="run", kind="flag",
        hint="go on after the loss has diverged")] = False
    seed: Annotated[int, Field(
        label="Seed", group="run", kind="integer", at_least=0, at_most=2**31 - 1,
        hint="same seed, same splits, same start, same order of rows")] = 0
    device: Annotated[str, Field(
        label="Device", group="device", kind="choice", choices=DEVICES,
        hint="auto takes a GPU where there is one")] = "auto"
    precision: Annotated[str, Field(
        label="Precision", group="run", kind="choice", choices=PRECISIONS,
        hint="float64 is slower and so exact that both frameworks give the same digits")] = "float32"
    # fmt: on

    @classmethod
    def create(cls, preset: str | None = None, /, **given: Any) -> "RunConfig":
        """Make a checked configuration from a preset and the fields given beside it, which win.

        Without a preset and without a data set, the preset is `overfit`. Raises ConfigError naming the field.
        """
        if preset is None and "dataset" not in given:
            preset = DEFAULT_PRESET
        if preset is not None and preset not in PRESETS:
            raise ConfigError("preset", f"must be one of {', '.join(PRESETS)}, not {preset!r}")
        by_name = fields()
        for name in given:
            if name not in by_name:
                raise ConfigError(name, "is not a field of a run")
        # None is a value for an optional field (train on all rows), and for any other that nothing was given.
        given = {name: value for name, value in given.items() if value is not None or by_name[name].optional}
        named = dict(PRESETS.get(preset or "", {}))
        policy = given.get("lr_policy", named.get("lr_policy", by_name["lr_policy"].default))
        check(by_name["lr_policy"], policy)
        if policy != named.get("lr_policy"):
            # A field can serve two policies: one's decay is not meant for the other.
            named = {name: value for name, value in named.items() if name not in policy_only_fields()}
        values: dict[str, Any] = {**named, **given}
        owned = policy_fields(policy)
        for name in policy_only_fields():
            if name in owned:
                continue
            if given.get(name) is not None:
                owners = [owner for owner in policies() if name in policy_fields(owner)]
                raise ConfigError(name, f"belongs to --lr-policy {' or '.join(owners)}, not to {policy}")
        for name, value in policy_defaults(policy, values.get("plateau_per"), values.get("plateau_rule")).items():
            if values.get(name) is None:
                values[name] = value
        if isinstance(values.get("hidden"), list):
            values["hidden"] = tuple(values["hidden"])
        config = cls(**values)
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError for the first field that cannot be run."""
        for error in self.problems():
            raise error

    def problems(self) -> Iterator[ConfigError]:
        """Yield what is wrong, field by field."""
        for field in fields().values():
            try:
                check(field, getattr(self, field.name))
            except ConfigError as error:
                yield error
        if self.lr_policy == "exponential" and self.lr_decay is not None and self.lr_decay > 1:
            yield ConfigError("lr_decay", f"must be at most 1 for the exponential policy, not {self.lr_decay:g}")
        if self.lr_floor is not None and self.lr_floor > self.learning_rate:
            yield ConfigError(
                "lr_floor", f"must be at most the learning rate {self.learning_rate:g}, not {self.lr_floor:g}"
            )
        if self.threshold_mode == "rel" and self.threshold is not None and self.threshold >= 1:
            yield ConfigError("threshold", f"must be below 1 with --threshold-mode rel, not {self.threshold:g}")
        if self.plateau_rule == "keras" and self.threshold_mode == "rel":
            yield ConfigError("threshold_mode", "must be abs with --plateau-rule keras, which knows no other")
        if self.plateau_rule == "keras" and self.lr_eps:
            yield ConfigError("lr_eps", f"must be 0 with --plateau-rule keras, which has none, not {self.lr_eps:g}")


@cache
def fields() -> dict[str, Field]:
    """Give every field of RunConfig by name, in the order in which people read them."""
    hints = get_type_hints(RunConfig, include_extras=True)
    defaults = {item.name: item.default for item in msgspec.structs.fields(RunConfig)}
    found = {name: replace(hint.__metadata__[0], name=name, default=defaults[name]) for name, hint in hints.items()}
    found["lr_policy"] = replace(found["lr_policy"], choices=tuple(policies()))
    return found


def policy_fields(policy: str) -> tuple[str, ...]:
    """Name the fields that a policy reads, beside the learning rate and the warm-up."""
    return tuple(policies()[policy].defaults)


@cache
def policy_only_fields() -> tuple[str, ...]:
    """Name the fields that belong to some policies and not to others."""
    return tuple(dict.fromkeys(name for policy in policies() for name in policy_fields(policy)))


def policy_defaults(policy: str, plateau_per: str | None = None, plateau_rule: str | None = None) -> dict[str, Any]:
    """Give the defaults of a policy's fields; a plateau's depend on what it watches and by whose rule."""
    return policies()[policy].defaults_for(plateau_per=plateau_per, plateau_rule=plateau_rule)


def options_of(config: RunConfig) -> list[str]:
    """Write a configuration as a person would type it: the framework, the data, and what is not as it is by default.

    The words make the same configuration again, with no preset.
    """
    usual = policy_defaults(config.lr_policy, config.plateau_per, config.plateau_rule)
    typed: list[str] = []
    for name, field in fields().items():
        value = getattr(config, name)
        # Without the name of the data, a preset would fill in the rest.
        if name not in ("framework", "dataset") and value == usual.get(name, field.default):
            continue
        typed += [field.option] if field.kind == "flag" else [field.option, unparse(field, value)]
    return typed


def difference(config: RunConfig | None, before: RunConfig | None) -> str:
    """Say what one configuration has that another has not: 'Dropout 0.4 (was 0)'; empty where one is not known.

    Of two learning-rate policies the fields that only one of them reads follow from it: beside its name stand those
    that are not as it has them by default.
    """
    if config is None or before is None:
        return ""
    ours, theirs = _policy_values(config), _policy_values(before)
    changed = []
    for name, field in fields().items():
        if name in policy_only_fields():
            if name not in ours or name not in theirs:
                continue
            now, then = _said(field, ours[name]), _said(field, theirs[name])
        elif name == "lr_policy" and config.lr_policy != before.lr_policy:
            now, then = _policy_said(config, ours, theirs), _policy_said(before, theirs, ours)
        else:
            now, then = (_said(field, getattr(each, name)) for each in (config, before))
        if now != then:
            changed.append(f"{field.label} {now} (was {then})")
    return ", ".join(changed) or "the same configuration"


def _policy_values(config: RunConfig) -> dict[str, Any]:
    """Give the fields that a configuration's policy reads, as it reads them; none of a policy that is not known."""
    if config.lr_policy not in policies():
        return {}
    defaults = policy_defaults(config.lr_policy, config.plateau_per, config.plateau_rule)
    return {
        name: default if getattr(config, name) is None else getattr(config, name) for name, default in defaults.items()
    }


def _policy_said(config: RunConfig, values: dict[str, Any], others: dict[str, Any]) -> str:
    """Name a policy, and what was given for it alone: 'plateau with Patience 50 and Factor 0.5'."""
    usual = policy_defaults(config.lr_policy, config.plateau_per, config.plateau_rule) if values else {}
    given = [name for name, value in values.items() if name not in others and value != usual[name]]
    said = [f"{fields()[name].label} {_said(fields()[name], values[name])}" for name in given]
    return f"{config.lr_policy} with {' and '.join(said)}" if said else config.lr_policy


def _said(field: Field, value: Any) -> str:
    """Write a field's value to be read: an empty one by what it means."""
    if field.kind == "flag":
        return "on" if value else "off"
    return unparse(field, value) or field.empty
