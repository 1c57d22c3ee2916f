"""Hugging Face's Trainer: a callback that records what it logs, and lets it be paused and stopped.

    Trainer(model, args, train_dataset=..., eval_dataset=..., callbacks=[Recorder()])

The Trainer gives its loss with each log only, as the mean since the log before (`logging_steps`), and so it is
recorded: dropout on, and by its default without the updates whose loss was not a number (`logging_nan_inf_filter`).
"""

import re
from dataclasses import MISSING, fields
from typing import Any, Unpack

from transformers import TrainerCallback

from regtui.core.plan import Plan
from regtui.integrations.common import AGREE_STEPS, Measured, Said, agreed, begin, listen
from regtui.readers.names import Names
from regtui.recording import Recorder as Run
from regtui.recording.warned import Warned, harmless

NO_MEASUREMENT = re.compile(r"_(runtime|per_second|preparation_time|mem_\w+)$|^(total_flos|epoch|step)$")
"""What the Trainer logs beside measurements: times, memory, and where it is."""

SUMMARY = "train_runtime"
"""What tells the log that closes a training: its `train_loss` is the mean of all of it, and no sample."""

ESSENTIAL = ("learning_rate", "weight_decay", "per_device_train_batch_size", "lr_scheduler_type", "optim", "seed")
"""Arguments that are settings of a run also where nobody gave them."""

WITHOUT_MEANING = re.compile(
    r"(.*dir|.*token|logging_\w+|save_\w+|do_\w+|hub_\w+|push_\w+|run_name|disable_tqdm|use_cpu)$"
)
"""Arguments that do not tell how it was trained."""


class Recorder(TrainerCallback):  # type: ignore[misc] # transformers may be missing where types are checked
    """Records each training of the trainers that it is given to."""

    def __init__(self, **said: Unpack[Said]) -> None:
        self.run: Run | None = None
        """The newest run."""
        self.warned = Warned()
        self._said = said
        self._measured = Measured(Names())
        self._epoch: float | None = None
        """Passes over the training rows at the newest update."""
        self._at_epoch_end = False

    @harmless
    def on_train_begin(self, /, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Begin a run."""
        if self.run is not None:
            self.run.finish("failed", "the training ended by an error, and another one has begun")
            self.run = None
        self._measured, self._epoch, self._at_epoch_end = Measured(Names()), None, False
        if not state.is_world_process_zero:
            return
        run = self.run = begin("transformers", self._said)
        run.tell(_settings_of(args, others.get("model")), _plan_of(state))
        self._register_rate(run, args, others.get("optimizer"), others.get("lr_scheduler"))
        if state.global_step:
            run.resume_from(state.global_step, state.epoch or 0.0)

    @harmless
    def on_step_begin(self, /, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Record what was measured before this update."""
        self._record_measured(state)

    @harmless
    def on_step_end(self, /, args: Any, state: Any, control: Any, **others: Any) -> Any:
        """Wait while the run is paused, and stop the trainer if that was asked for."""
        self._epoch = state.epoch
        alone = args.world_size == 1
        if (alone or state.global_step % AGREE_STEPS == 0) and self._is_to_stop(alone=alone):
            control.should_training_stop = True
        return control

    @harmless
    def on_log(self, /, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
        """Record what the trainer logs: of updates now, of evaluations when it is known whether an epoch ends here."""
        if self.run is None or not logs or SUMMARY in logs:
            return
        values = {name: value for name, value in logs.items() if not NO_MEASUREMENT.search(name)}
        if any(name.startswith(("eval_", "test_")) for name in values):
            self._measured.add(values)
        elif values:
            self.run.log(values, step=state.global_step)

    @harmless
    def on_epoch_end(self, /, args: Any, state: Any, control: Any, **others: Any) -> Any:
        """Know that what is evaluated now was measured at the end of an epoch."""
        # An epoch that was broken off has a fraction.
        self._at_epoch_end = state.epoch is not None and abs(state.epoch - round(state.epoch)) < 1e-6
        self._epoch = state.epoch
        return control

    @harmless
    def on_train_end(self, /, args: Any, state: Any, control: Any, **others: Any) -> None:
        """End the run as the training has ended."""
        self._record_measured(state)
        run, self.run = self.run, None
        if run is None:
            return
        if state.global_step < state.max_steps and not run.should_stop:
            run.finish("early_stopped", "a callback of the trainer has stopped it")
        run.finish()

    def _is_to_stop(self, *, alone: bool) -> bool:
        asked = self.run is not None and listen(self.run)
        return asked if alone else agreed(asked)

    def _record_measured(self, state: Any) -> None:
        if self.run is not None and (self._at_epoch_end or self._measured):
            self._measured.record(
                self.run, step=state.global_step, epoch=self._epoch, ends_epoch=self._at_epoch_end
            )  # fmt: skip
        self._at_epoch_end = False

    @staticmethod
    def _register_rate(run: Run, args: Any, optimizer: Any, scheduler: Any) -> None:
        """Let the rate be turned where no schedule takes it back at the next update."""
        schedule = str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))
        # Of several processes only this one would hear of it, and their weights would part.
        if optimizer is None or schedule != "constant" or args.world_size > 1:
            return

        def turn(rate: float) -> None:
            for group in optimizer.param_groups:
                group["lr"] = rate
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [rate for _ in scheduler.base_lrs]

        run.knob("learning_rate", set=turn, value=optimizer.param_groups[0]["lr"])


def _settings_of(args: Any, model: Any) -> dict[str, Any]:
    """Say how it is trained: the arguments that somebody has given, and those that matter in any case."""
    usual = {field.name: field.default for field in fields(args) if field.default is not MISSING}
    given = {
        name: value
        for name, value in args.to_dict().items()
        if name in ESSENTIAL
        or (
            value
            and isinstance(value, str | int | float)
            and value != usual.get(name)
            and not WITHOUT_MEANING.match(name)
        )
    }
    if model is None:
        return given
    kind = getattr(getattr(model, "config", None), "model_type", "") or type(model).__name__
    return {"model": kind, "parameters": sum(each.numel() for each in model.parameters()), **given}


def _plan_of(state: Any) -> Plan:
    epochs, steps = state.num_train_epochs, state.max_steps
    return Plan(
        epochs=int(epochs) if epochs and 0 < epochs < 2**31 else None,
        total_steps=steps if steps and steps > 0 else None,
    )
