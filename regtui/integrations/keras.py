"""Keras 3: a callback that records a fit, and lets it be paused, stopped and steered.

    model.fit(x, y, validation_data=(vx, vy), epochs=20, callbacks=[Recorder()])

Each fit is a run of its own. Keras's `loss` and `val_loss` contain the penalty of the kernels' regularizers: it is
taken out of both, and recorded beside them. Its `loss` of an epoch is a running mean, dropout on;
`train_sample=(x, y)` has the loss of those rows measured after each epoch like that of validation.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Unpack

import keras
from keras import ops

from regtui.core.plan import Plan
from regtui.integrations.common import Measured, Said, begin, listen
from regtui.readers.names import Names
from regtui.recording import Recorder as Run
from regtui.recording.warned import Warned, harmless

LEAST_SHARE = 2.0**-24 / 1e-3
"""Keras sums the losses of an epoch in 32 bits: what a batch adds to the sum is known to three digits while it has at
least this share of the rows so far. Later in an epoch, from its 16,000th batch on, several are recorded as one."""

BACKENDS = ("tensorflow", "torch")
"""Those whose weights can be read between batches; with JAX only epochs are recorded."""


class Recorder(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types
    """Records each fit that it is given to."""

    def __init__(self, *, train_sample: Any = None, **said: Unpack[Said]) -> None:
        """Take rows of the training split to be measured after each epoch: (x, y), or a Dataset."""
        super().__init__()
        self.run: Run | None = None
        """The run of the newest fit."""
        self.warned = Warned()
        self._said = said
        self._sample = train_sample
        self._weights: _Weights | None = None
        self._sums = _Sums(0.0, 0.0, 0.0)
        """Of the epoch so far."""
        self._recorded = self._sums
        """The same at the newest recorded step."""
        self._steps: int | None = None
        """Updates in one epoch, where they are known."""
        self._step = self._epoch_step = 0
        """Updates completed, now and at the begin of the epoch."""
        self._last_loss = 0.0

    @harmless
    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin a run."""
        if self.run is not None:
            self.run.finish("failed", "the fit ended by an error, and another one has begun")
        run = self.run = begin("keras", self._said)
        self._step = self._epoch_step = 0
        self._steps = self.params.get("steps")
        self._names = Names(rows_are_epochs=True)
        self._begun = False
        epochs = self.params.get("epochs")
        total = epochs * self._steps if epochs and self._steps else None
        plan = Plan(
            epochs=epochs, total_steps=total, steps_per_epoch=self._steps, classes=classes_of(self.model)
        )  # fmt: skip
        run.tell(settings_of(self.model), plan)
        optimizer = self.model.optimizer
        if optimizer is not None and isinstance(optimizer.learning_rate, keras.Variable):
            run.knob("learning_rate", set=self._set_rate, value=ops.convert_to_numpy(optimizer.learning_rate))
        self._weights = _Weights(self.model) if self.model.built else None

    @harmless
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count from zero again; in a fit that goes on with `initial_epoch`, from where it goes on."""
        if self.run is not None and not self._begun and epoch > 0:
            done = int(self.model.optimizer.iterations) if self.model.optimizer is not None else 0
            self._step = done or epoch * (self._steps or 0)
            self.run.resume_from(self._step, epoch)
        self._begun = True
        self._epoch_step = self._step
        self._sums = self._recorded = _Sums(0.0, 0.0, 0.0)

    @harmless
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record an update, wait while the run is paused, and stop the fit if that was asked for."""
        if self.run is None:
            return
        self._step = self._epoch_step + batch + 1
        if keras.backend.backend() in BACKENDS:
            self._record_batch(self.run, logs or {})
        if listen(self.run):
            self.model.stop_training = True

    @harmless
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record what the epoch and its validation were, and measure the sample of the training rows."""
        if self.run is None:
            return
        if self._weights is None or keras.backend.backend() not in BACKENDS:
            self._weights = _Weights(self.model)
        weights, values = self._weights, dict(logs or {})
        if weights.trains_with_penalty and "loss" in values:
            # Without its batches nobody knows what the penalty was on their mean.
            values["loss"] -= self._sums.penalties / self._sums.rows if self._sums.rows else math.nan
        if weights.tests_with_penalty and "val_loss" in values:
            values["val_loss"] -= weights.penalty
        measured = Measured(self._names)
        measured.add(values)
        if self._sample is not None:
            measured.train = self._measure_sample(weights)
        if weights.has_penalty:
            measured.others["penalty"] = weights.penalty
        done = self._step - self._epoch_step
        whole = not self.model.stop_training or self._steps is None or done >= self._steps
        self._steps = self._steps or done
        passes = epoch + (1 if whole else done / self._steps)
        measured.record(self.run, step=self._step, epoch=passes, ends_epoch=whole)
        if self.run.should_stop:
            self.model.stop_training = True

    @harmless
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """End the run as the fit has ended."""
        run, self.run = self.run, None
        self._weights = None
        if run is None:
            return
        if self.model.stop_training and not run.should_stop:
            diverged = not math.isfinite(self._last_loss)
            run.finish("diverged" if diverged else "early_stopped", "a callback of the fit has stopped it")
        run.finish()

    def _record_batch(self, run: Run, logs: Mapping[str, Any]) -> None:
        first, loss, penalty = self._weights is None, None, None
        weights = self._weights = self._weights or _Weights(self.model)
        now = self._sums = weights.add(self._sums, logs, first=first)
        rows = now.rows - self._recorded.rows
        if rows > 0 and rows >= LEAST_SHARE * now.rows:
            loss, penalty = now.since(self._recorded)
            loss = loss - penalty if weights.trains_with_penalty else loss
            self._recorded, self._last_loss = now, loss
        measured = {"penalty": penalty} if weights.has_penalty and penalty is not None else {}
        run.step(loss, learning_rate=weights.rate, step=self._step, **measured)

    def _measure_sample(self, weights: "_Weights") -> dict[str, float]:
        rows = self._sample if isinstance(self._sample, tuple) else (self._sample,)
        found = self.model.evaluate(
            *rows[:2], sample_weight=rows[2] if len(rows) > 2 else None, verbose=0, return_dict=True
        )
        if weights.tests_with_penalty and "loss" in found:
            found["loss"] -= weights.penalty
        measured = Measured(self._names)
        measured.add({f"val_{name}": value for name, value in found.items()})
        return measured.valid

    def _set_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate


class _Sums(NamedTuple):
    """Sums over the rows of an epoch so far."""

    losses: float
    """As Keras has them: with the penalty."""
    penalties: float
    """At the weights that each batch was computed with."""
    rows: float

    def since(self, before: "_Sums") -> tuple[float, float]:
        """Give the mean loss and the mean penalty of what has been added since."""
        rows = self.rows - before.rows
        return (self.losses - before.losses) / rows, (self.penalties - before.penalties) / rows


class _Weights:
    """What is read of a model after each batch, where Keras has waited for its device anyway.

    Measured with TensorFlow on a CPU: 0.35 ms a batch for two kernels, 0.5 ms for twenty.
    """

    def __init__(self, model: Any) -> None:
        optimizer = model.optimizer
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # within one that scales the loss
        self._regularized = [each for each in model.trainable_weights if getattr(each, "regularizer", None) is not None]
        self._mean = next((each for each in model.metrics if each.name == "loss" and _is_mean(each)), None)
        self.has_penalty = bool(self._regularized)
        # A step of one's own may leave the penalty out of its loss; nobody can know.
        self.trains_with_penalty = self.has_penalty and _is_kerass(model, "train_step", "compute_loss")
        self.tests_with_penalty = self.has_penalty and _is_kerass(model, "test_step", "compute_loss")
        self._read = self._numbers
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self._read = tf.function(self._numbers)
        self.penalty = 0.0
        """At the weights as they are."""
        self.rate: float | None = None
        """The learning rate of the newest update."""
        self._look()

    def add(self, sums: _Sums, logs: Mapping[str, Any], *, first: bool) -> _Sums:
        """Add the newest batch; `first` says that there were no weights before it, and so no known penalty."""
        before = self.penalty
        losses, rows = self._look()
        before = self.penalty if first else before
        if self._mean is None:
            # A step of one's own that returns the loss of its batch.
            losses, rows = sums.losses + logs.get("loss", math.nan), sums.rows + 1
        return _Sums(losses, sums.penalties + before * (rows - sums.rows), rows)

    def _look(self) -> tuple[float, float]:
        rate, self.penalty, losses, rows = map(float, ops.convert_to_numpy(self._read()))
        self.rate = rate if rate >= 0 else None
        return losses, rows

    def _numbers(self) -> Any:
        """Put together the rate, the penalty, and the sums of losses and of rows."""
        penalties = [ops.sum(ops.cast(each.regularizer(each), "float32")) for each in self._regularized]
        mean = self._mean
        sums = (mean.total, mean.count) if mean is not None else (0.0, 0.0)
        numbers = (self._rate_now(), sum(penalties, start=ops.zeros(())), *sums)
        return ops.stop_gradient(ops.stack([ops.cast(ops.convert_to_tensor(each), "float32") for each in numbers]))

    def _rate_now(self) -> Any:
        """Give the rate of the newest update: a schedule's at the count before it; -1 where there is no optimizer."""
        if self._optimizer is None:
            return -1.0
        schedule = getattr(self._optimizer, "_learning_rate", None)
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            return schedule(ops.maximum(self._optimizer._iterations - 1, 0))
        return self._optimizer.learning_rate


def _is_mean(metric: Any) -> bool:
    return isinstance(metric, keras.metrics.Mean) and hasattr(metric, "total") and hasattr(metric, "count")


def _is_kerass(model: Any, *methods: str) -> bool:
    """Tell whether methods of a model are Keras's own."""
    return all(str(getattr(type(model), name).__module__).startswith("keras.") for name in methods)


def settings_of(model: Any) -> dict[str, Any]:
    """Say what a model and its optimizer were set to."""
    found: dict[str, Any] = {"model": model.name, "loss": _loss_of(model)}
    if model.built:
        found["parameters"] = model.count_params()
    if model.optimizer is not None:
        config = model.optimizer.get_config()
        found["optimizer"] = config.pop("name", type(model.optimizer).__name__)
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            schedule = rate.get("config", {})
            config["learning_rate"] = schedule.get("initial_learning_rate")
            config["lr_schedule"] = {**schedule, "name": rate.get("class_name")}
        if not config.get("use_ema"):
            config.pop("ema_momentum", None)
        found.update({name: value for name, value in config.items() if value is not None and value is not False})
    layers = list(_layers(model))
    regularizers = [
        each for layer in layers if (each := getattr(layer, "kernel_regularizer", None)) is not None
    ]  # fmt: skip
    for name, owners, key in (("l2", regularizers, "l2"), ("l1", regularizers, "l1"), ("dropout", layers, "rate")):
        values = [
            float(value)
            for owner in owners
            if (name != "dropout" or "Dropout" in type(owner).__name__) and (value := getattr(owner, key, None))
        ]
        if values:
            found[name] = values[0] if len(set(values)) == 1 else values
    return found


def classes_of(model: Any) -> int | None:
    """Count the classes of the labels, where the loss is a cross entropy of the model's only output."""
    loss, shape = _loss_of(model), getattr(model, "output_shape", None)
    if not isinstance(loss, str) or not isinstance(shape, tuple) or not shape or not isinstance(shape[-1], int):
        return None
    if "categorical_crossentropy" in loss:
        return shape[-1]
    return 2 if loss == "binary_crossentropy" and shape[-1] == 1 else None


def _loss_of(model: Any) -> Any:
    loss = model.loss
    return loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", str(loss))


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)
