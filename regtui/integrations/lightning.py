"""Lightning: one object that is both a logger and a callback.

    recorder = Recorder()
    Trainer(max_epochs=20, logger=recorder, callbacks=[recorder])

As a callback it records the loss that each `training_step` returns, the rate it was used with, the epochs and the end,
and obeys commands; as a logger what the module logs by `self.log`, and its hyperparameters. As a callback alone it
takes validation from the trainer's `callback_metrics`; as a logger alone it knows what is logged and no more, and obeys
nothing.
"""

import math
import sys
from collections.abc import Mapping
from typing import Any, Literal, Unpack

from regtui.core.metrics import LEARNING_RATE, STEP_LOSS
from regtui.core.plan import Plan
from regtui.integrations.common import AGREE_STEPS, Measured, Said, agreed, begin, listen
from regtui.readers.names import Names, parts
from regtui.recording import Recorder as Run
from regtui.recording.warned import Warned, harmless

if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
    # The same under its other name, whose trainers take no callbacks of this one.
    from pytorch_lightning.callbacks import Callback
    from pytorch_lightning.loggers import Logger
else:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger


class Recorder(Logger, Callback):  # type: ignore[misc] # Lightning may be missing where types are checked
    """Records each fit of the trainers that it is given to."""

    def __init__(self, **said: Unpack[Said]) -> None:
        super().__init__()
        self.run: Run | None = None
        """The newest run."""
        self.warned = Warned()
        self._said = said
        self._settings: dict[str, Any] = {}
        self._phase: Literal["none", "steps", "validation", "epoch"] = "none"
        """What the module logs now belongs to: an update, a validation, or a whole epoch."""
        self._logs_steps = False
        """As a callback it is told of every update."""
        self._names = Names()
        self._measured = Measured(self._names)
        self._held: tuple[float, bool] | None = None
        """The epoch of what is held in `_measured`, and whether it ends there."""
        self._step = self._stepped = 0
        """Updates completed, and the trainer's own count, which several optimizers raise."""
        self._losses: list[Any] = []
        """Of the batches that have led to no update yet."""
        self._loss: Any = None
        self._rate: Any = None
        """Of the newest update."""

    # As a logger

    @property
    def name(self) -> str:
        """Name of the folder of the run, in which checkpoints are kept, too."""
        path = self.run.log_path if self.run is not None else None
        return path.parent.name if path is not None else self._said.get("name", "regtui")

    @property
    def version(self) -> str:
        """Nothing: each run has a folder of its own."""
        return ""

    @property
    def save_dir(self) -> str | None:
        """The folder of the folder of the run; the trainer's where there is no run yet."""
        path = self.run.log_path if self.run is not None else None
        return str(path.absolute().parent.parent) if path is not None else None

    @harmless
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Take hyperparameters as settings of the run."""
        known = dict(params) if isinstance(params, Mapping) else dict(vars(params))
        self._settings.update(known)
        if self.run is not None:
            self.run.tell(known)

    @harmless
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record what the module logs."""
        if self._logs_steps:
            self._take(metrics)
        elif any(parts(name).split != "test" for name in metrics if name != "epoch"):
            # What a trainer's `test` measures after its fit belongs to no update.
            self._take_alone(self._begin(), metrics, step)

    @harmless
    def finalize(self, status: str) -> None:
        """End the run, where it is over."""
        if not self._logs_steps:
            self._record_measured()
            self._end("failed" if status == "failed" else "finished")

    # As a callback

    @harmless
    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Begin a run before anybody asks where checkpoints go."""
        if stage == "fit" and trainer.is_global_zero:
            self._end("failed", "the fit ended by an error, and another one has begun")
            self._begin()

    @harmless
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Say what is known of the run before its first update."""
        self._logs_steps, self._phase = True, "steps"
        self._names = Names()
        self._measured, self._held, self._losses = Measured(self._names), None, []
        self._step = self._stepped = trainer.global_step
        run = self.run
        if run is None:
            return
        run.tell(_settings_of(trainer, pl_module), _plan_of(trainer))
        if trainer.world_size == 1 and not trainer.lr_scheduler_configs and trainer.optimizers:
            # Of several processes only this one would hear of it, and their weights would part.
            run.knob("learning_rate", set=lambda rate: _set_rate(trainer, rate), value=_rate_of(trainer.optimizers[0]))
        if self._step:
            run.resume_from(self._step, trainer.current_epoch)

    @harmless
    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Record what was measured before this batch."""
        self._record_measured()
        self._phase = "steps"

    @harmless
    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Take the rate that this update uses; after it, schedulers have changed it already."""
        if optimizer is trainer.optimizers[0] or getattr(trainer.optimizers[0], "optimizer", None) is optimizer:
            self._rate = _rate_of(optimizer)

    @harmless
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record an update, wait while the run is paused, and stop the trainer if that was asked for."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None and hasattr(loss, "detach"):
            # What Lightning gives is divided by the number of batches that are accumulated.
            parts_of_it = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            self._losses.append(loss.detach() * parts_of_it if parts_of_it > 1 else loss.detach())
        if trainer.global_step == self._stepped:
            return
        self._stepped, self._step = trainer.global_step, self._step + 1
        losses, self._losses = self._losses, []
        run = self.run
        if run is not None:
            mean = sum(losses[1:], start=losses[0]) / len(losses) if losses else None
            self._loss = mean
            run.step(mean, learning_rate=self._rate, step=self._step)
        if trainer.world_size == 1 or self._step % AGREE_STEPS == 0:
            self._stop_if_asked(trainer)

    @harmless
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Know what is logged now for what it is."""
        if not trainer.sanity_checking:
            self._phase = "validation"
            self._before = {name: _identity(value) for name, value in trainer.callback_metrics.items()}

    @harmless
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Hold what was measured, until it is known whether the epoch ends here."""
        if trainer.sanity_checking or not self._logs_steps:
            return
        if self not in trainer.loggers:
            news = {
                name: value
                for name, value in trainer.callback_metrics.items()
                if parts(name).split in ("valid", "test") or self._before.get(name) != _identity(value)
            }
            self._measured.add(news, of_valid=True)
        batches = trainer.num_training_batches
        done = (trainer.fit_loop.epoch_loop.batch_progress.current.ready) / batches if batches else 0.0
        self._held = trainer.current_epoch + min(done, 1.0), False
        self._phase = "steps"

    @harmless
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Hold the end of an epoch, whose means are logged after this."""
        batches, done = trainer.num_training_batches, trainer.fit_loop.epoch_loop.batch_progress.current.ready
        whole = done >= batches or not trainer.should_stop
        self._held = trainer.current_epoch + (1.0 if whole else done / batches), whole
        self._phase = "epoch"
        if trainer.world_size > 1:
            self._stop_if_asked(trainer)

    @harmless
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the run as the fit has ended."""
        self._record_measured()
        if trainer.should_stop and self.run is not None and not self.run.should_stop:
            stopped = [
                each for each in trainer.callbacks if getattr(each, "wait_count", 0) >= getattr(each, "patience", 1)
            ]
            reason = f"{type(stopped[0]).__name__}: {stopped[0].monitor}" if stopped else "a callback has stopped it"
            self._end("early_stopped", reason)
        self._end()

    @harmless
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the run as what ended it says."""
        self._record_measured()
        if self.run is not None:
            self.run.leave(exception)
        self._end()

    # How it goes

    def _begin(self) -> Run:
        if self.run is None:
            self.run = begin("lightning", self._said)
            self.run.tell(self._settings)
        return self.run

    def _end(self, status: str = "finished", reason: str = "") -> None:
        run, self.run = self.run, None
        self._logs_steps, self._phase = False, "none"
        if run is not None:
            run.finish(status, reason)

    def _stop_if_asked(self, trainer: Any) -> None:
        if agreed(self.run is not None and listen(self.run)):
            trainer.should_stop = True

    def _take(self, metrics: Mapping[str, Any]) -> None:
        """Put what is logged where it belongs."""
        if self._phase in ("validation", "epoch"):
            self._measured.add(metrics, of_valid=self._phase == "validation")
            return
        self._names.see(metrics)
        update: dict[str, Any] = {}
        for name, value in metrics.items():
            meaning = self._names[name]
            if meaning.table in ("place", "nothing") or meaning.name == LEARNING_RATE:
                continue
            if meaning.name != STEP_LOSS:
                update[meaning.name] = value
            elif self._loss is None or float(value) != float(self._loss):
                # The loss itself comes with each update: this is another one.
                update[name] = value
        if update and self.run is not None:
            self.run.step(step=self._step, **update)

    def _take_alone(self, run: Run, metrics: Mapping[str, Any], step: int | None) -> None:
        """Record what is logged, where nobody tells of updates and epochs: an epoch ends where its number changes."""
        epoch = metrics.get("epoch")
        # Lightning counts the updates before the newest, and the epochs before this one.
        step = self._step if step is None else int(step) + 1
        if self._held is not None and step > self._step:
            ends = epoch is None or epoch >= self._held[0]
            self._held = self._held[0], ends
            self._record_measured()
        self._step = step
        self._names.see(metrics)
        evaluated = {name: value for name, value in metrics.items() if self._names[name].table == "evaluations"}
        update = {name: value for name, value in metrics.items() if name not in evaluated}
        if any(self._names[name].table == "steps" for name in update):
            run.log(update, step=step)
        if evaluated:
            self._measured.add(evaluated)
            self._held = math.nan if epoch is None else epoch + 1, True

    def _record_measured(self) -> None:
        held, self._held = self._held, None
        if held is not None and self.run is not None:
            epoch, ends = held
            known = None if math.isnan(epoch) or (not ends and not self._logs_steps) else epoch
            self._measured.record(self.run, step=self._step, epoch=known, ends_epoch=ends and known is not None)


def _settings_of(trainer: Any, module: Any) -> dict[str, Any]:
    """Say what a module and its optimizer were set to."""
    found: dict[str, Any] = {
        "model": type(module).__name__,
        "parameters": sum(each.numel() for each in module.parameters()),
        "precision": str(trainer.precision),
        "accumulate_grad_batches": trainer.accumulate_grad_batches,
        "gradient_clip_val": trainer.gradient_clip_val,
    }
    if trainer.optimizers:
        optimizer = trainer.optimizers[0]
        found["optimizer"] = type(optimizer).__name__
        found["learning_rate"] = _rate_of(optimizer)
        if "weight_decay" in optimizer.param_groups[0]:
            found["weight_decay"] = optimizer.param_groups[0]["weight_decay"]
    if trainer.lr_scheduler_configs:
        found["lr_schedule"] = type(trainer.lr_scheduler_configs[0].scheduler).__name__
    known = getattr(module, "hparams", None)
    return {name: value for name, value in found.items() if value is not None} | dict(known or {})


def _plan_of(trainer: Any) -> Plan:
    total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    per_epoch = batches / trainer.accumulate_grad_batches if batches != float("inf") else None
    return Plan(
        epochs=trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None,
        total_steps=int(total) if 0 < total < float("inf") else None,
        steps_per_epoch=per_epoch or None,
    )


def _rate_of(optimizer: Any) -> Any:
    return optimizer.param_groups[0]["lr"]


def _set_rate(trainer: Any, rate: float) -> None:
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def _identity(value: Any) -> tuple[int, float]:
    return id(value), float(value)
