"""Keras on TensorFlow: the net, its optimizer and its data on one device.

Updates run in one `tf.function` that loops over them inside the graph. It is traced once: row counts and rates are
arguments of open shape, and every knob is a variable that the graph reads.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from regtui.backends import FloatArray, IntArray, Snapshot, StepLosses, unknown_optimizer
from regtui.backends._device import choose_device, slice_rows
from regtui.backends._environment import environment
from regtui.backends.tensorflow import keeping
from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Data, Rows, Split
from regtui.core.events import Knob, Metrics
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.weights import Weights, evaluation_rows, initial_weights, layer_names, layer_widths

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, of AMD and of Windows' Linux put there."""


def log_level() -> str:
    """Give what TensorFlow is to keep to itself: its chatter, and where no GPU is, also that it found none.

    It says that at the level of errors (`E0000 ... failed call to cuInit`); other errors are raised as well.
    """
    return "2" if any(Path(driver).exists() for driver in GPU_DRIVERS) else "3"


if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "tensorflow":
    raise ConfigError(
        "framework",
        f"tensorflow cannot start here: this process already runs Keras on {sys.modules['keras'].backend.backend()}, "
        "which cannot be changed; start regtui in a fresh process",
    )

# Both are read once, at the first import; the user's keras.json may name another backend.
with environment(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL=os.environ.get("TF_CPP_MIN_LOG_LEVEL", log_level())):
    import keras
    import tensorflow as tf

Pairs = list[tuple[tf.Tensor, tf.Variable]]
"""Gradients with the variables they belong to."""


@contextmanager
def keras_in(precision: str) -> Iterator[None]:
    """Let Keras make layers, optimizers and rates in a precision, whatever keras.json says; then as it was before."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


class LiveL1L2(keras.regularizers.L1L2):  # type: ignore[misc]  # Keras has no types
    """Keras's L1L2 with factors that are read each time the graph runs."""

    def __init__(self, l1: tf.Variable, l2: tf.Variable) -> None:
        super().__init__()
        self.l1, self.l2 = l1, l2

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Give l1 * sum(|w|) + l2 * sum(w^2)."""
        w = tf.convert_to_tensor(x)
        zero = tf.zeros((), w.dtype)
        # l2_loss is sum(w^2) / 2 in one pass over the kernel, and so is its gradient.
        squares = tf.cond(self.l2 > 0, lambda: 2 * self.l2 * tf.nn.l2_loss(w), lambda: zero)
        return squares + tf.cond(self.l1 > 0, lambda: self.l1 * tf.reduce_sum(tf.abs(w)), lambda: zero)


class LiveDropout(keras.layers.Dropout):  # type: ignore[misc]
    """Keras's Dropout with a rate that is read each time the graph runs, and skipped while it is 0."""

    def __init__(self, rate: tf.Variable, seed: int) -> None:
        """Take the variable to read; any rate above 0 makes Keras create the generator."""
        super().__init__(0.5, seed=seed)
        self.live_rate = rate

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs

        def dropped() -> tf.Tensor:
            # The op of Keras's own call; its wrapper compares the rate in Python, which a graph cannot.
            seed = tf.cast(self.seed_generator.next(), tf.int32)
            return tf.nn.experimental.stateless_dropout(inputs, self.live_rate, seed=seed)

        return tf.cond(self.live_rate > 0, dropped, lambda: inputs)


class OneDevice:
    """An optimizer that has no other replicas to add gradients from.

    Keras adds them up even so, through an op that TensorFlow enters into a registry of the process together with the
    graph around it: each run would leave its graph, its weights and its data behind.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Pairs) -> Pairs:
        return grads_and_vars


class PlainSGD(OneDevice, keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD."""


class FusedAdam(OneDevice, keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam whose update of a variable is TensorFlow's one fused op instead of twelve; the same formula."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        number = self._get_variable_index(variable)
        made = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            beta1_power=self.beta_1**made,
            beta2_power=self.beta_2**made,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Backend:
    """A net in Keras; see `backends.Backend` for the contract."""

    name = "tensorflow"
    version = str(tf.__version__)

    def __init__(self, config: RunConfig, data: Data) -> None:
        """Build the model from `core.weights` and move the data to the device."""
        self.device = choose_device(config, present_devices(), self.name)
        if self.device == "cuda":
            share_gpus()
        self._config = config
        self._names = layer_names(config)
        self._dtype = tf.dtypes.as_dtype(config.precision)
        with self._placed(), keras_in(config.precision):
            self._knobs = {
                name: tf.Variable(getattr(config, name), dtype=self._dtype, trainable=False, name=name)
                for name in ("l1", "l2", "weight_decay", "dropout")
            }
            self._model = _build_model(config, data.inputs, data.classes, self._knobs)
            self._layers = [layer for layer in self._model.layers if isinstance(layer, keras.layers.Dense)]
            self._optimizer = _build_optimizer(config)
            self._optimizer.exclude_from_weight_decay(var_list=[layer.bias for layer in self._layers])
            self._optimizer.build(self._model.trainable_variables)
            generators = [layer.seed_generator for layer in self._model.layers if isinstance(layer, LiveDropout)]
            self._variables = keeping.variables_of(self._model.weights, self._optimizer, generators)
            self._splits = {"train": self._place(data.train), "valid": self._place(data.valid)}
            if data.test is not None:
                self._splits["test"] = self._place(data.test)
            self._features, self._labels = self._splits["train"]
            chosen = evaluation_rows(config, len(data.train))
            if chosen is not None:
                self._splits["train"] = (tf.gather(self._features, chosen), tf.gather(self._labels, chosen))
        self._slice = slice_rows([layer.units for layer in self._layers])
        self.parameters = int(self._model.count_params())
        rows = tf.TensorSpec([None, None], tf.int32)
        rates = tf.TensorSpec([None], self._dtype)
        self._train = tf.function(self._updates, input_signature=[rows, rates], autograph=False)
        features = tf.TensorSpec([None, data.inputs], self._dtype)
        self._measure = tf.function(
            self._sums, input_signature=[features, tf.TensorSpec([None], tf.int64)], autograph=False
        )

    def train_steps(self, rows: IntArray, learning_rates: FloatArray) -> StepLosses:
        """Make k updates: `rows` (k, batch) are indices into the training split, `learning_rates` (k,)."""
        with self._placed():
            losses = self._train(tf.constant(rows, tf.int32), tf.constant(learning_rates, self._dtype))
        both = losses.numpy().astype(np.float64)
        return StepLosses(both[:, 0].copy(), both[:, 1].copy())

    def _updates(self, rows: tf.Tensor, rates: tf.Tensor) -> tf.Tensor:
        """Make k updates in the graph; gives their losses and penalties, shape (k, 2)."""
        count = tf.shape(rows)[0]
        losses = tf.TensorArray(self._dtype, size=count, element_shape=[2])

        def update(step: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return step + 1, losses.write(step, self._update(rows[step], rates[step]))

        _, losses = tf.while_loop(lambda step, _: step < count, update, (0, losses), parallel_iterations=1)
        return losses.stack()

    def _update(self, batch: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Make one update; gives the data loss and the penalty, shape (2,)."""
        with tf.GradientTape() as tape:
            logits = self._model(tf.gather(self._features, batch), training=True)
            labels = tf.gather(self._labels, batch)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
        gradients = tape.gradient(loss, self._model.trainable_variables)
        penalty, gradients = self._penalise(gradients)
        self._optimizer.learning_rate = rate
        self._apply(gradients)
        return tf.stack([loss, penalty])

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        """Let the optimizer update the model, with decoupled weight decay while that is above 0.

        The optimizer asks in Python whether it has a weight_decay, so it is traced both ways, into two branches.
        """
        variables = self._model.trainable_variables

        def applied(weight_decay: tf.Variable | None) -> list[tf.Tensor]:
            self._optimizer.weight_decay = weight_decay
            self._optimizer.apply(gradients, variables)
            return []

        decay = self._knobs["weight_decay"]
        tf.cond(decay > 0, lambda: applied(decay), lambda: applied(None))

    def _penalise(self, gradients: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Give the penalty and the gradients of loss plus penalty.

        The model's own losses have their own tape, so that with l1 and l2 at 0 none of it is computed: under the
        loss's tape a skipped branch still adds a kernel of zeros to each gradient.
        """

        def penalised() -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                penalty = tf.add_n(self._model.losses)
            added = tape.gradient(penalty, [layer.kernel for layer in self._layers])
            both = [
                part
                for number, layer_gradient in enumerate(added)
                for part in (gradients[2 * number] + layer_gradient, gradients[2 * number + 1])
            ]
            return [penalty, *both]

        on = tf.logical_or(self._knobs["l1"] > 0, self._knobs["l2"] > 0)
        penalty, *gradients = tf.cond(on, penalised, lambda: [tf.zeros((), self._dtype), *gradients])
        return penalty, gradients

    def evaluate(self, split: Split) -> Metrics:
        """Measure a split with dropout off and without penalty, each row weighing the same."""
        features, labels = self._splits[split]
        rows = int(labels.shape[0])
        loss, correct = 0.0, 0.0
        with self._placed():
            for start in range(0, rows, self._slice):
                part = slice(start, start + self._slice) if rows > self._slice else slice(None)
                found = self._measure(features[part], labels[part]).numpy()
                loss, correct = loss + float(found[0]), correct + float(found[1])
        return {"loss": loss / rows, "accuracy": correct / rows}

    def _sums(self, features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Give the summed loss and the count of right answers, shape (2,)."""
        logits = self._model(features, training=False)
        hits = tf.cast(tf.argmax(logits, 1) == labels, self._dtype)
        # Cross entropy written out: half the ready-made one's time, which works out its gradient on the way.
        losses = tf.reduce_logsumexp(logits, 1) - tf.gather(logits, labels, batch_dims=1)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(hits)])

    def set_knob(self, knob: Knob, value: float) -> None:
        """Turn l2, l1, weight_decay or dropout from the next update on; raises ValueError for any other."""
        if knob not in self._knobs:
            raise ValueError(f"{knob} is not a knob of a backend")
        self._knobs[knob].assign(value)

    def penalty(self) -> float:
        """Give the L2 and L1 terms at the present weights."""
        l1, l2 = float(self._knobs["l1"]), float(self._knobs["l2"])
        # In numpy, a tenth of what as many eager ops take.
        kernels = [layer.kernel.numpy() for layer in self._layers] if l1 or l2 else []
        return float(sum(l2 * np.vdot(kernel, kernel) + l1 * np.abs(kernel).sum() for kernel in kernels))

    def weight_norms(self) -> dict[str, float]:
        """Give the L2 norm of each kernel: hidden_1, hidden_2, ..., output."""
        norms = [float(np.linalg.norm(layer.kernel.numpy())) for layer in self._layers]
        return dict(zip(self._names, norms, strict=True))

    def weights(self) -> Weights:
        """Copy the kernels and biases out, in the run's precision."""
        return [part.numpy().copy() for layer in self._layers for part in (layer.kernel, layer.bias)]

    def snapshot(self) -> Snapshot:
        """Copy weights, optimizer and the generators of dropout's masks."""
        return keeping.state_of(self._variables)

    def restore(self, snapshot: Snapshot) -> None:
        with self._placed():
            keeping.put_back(snapshot, self._variables)

    def save(self, snapshot: Snapshot, folder: Path) -> None:
        """Write a snapshot: `model.weights.h5` as Keras does, and `optimizer.npz`."""
        with self._placed():
            keeping.save(snapshot, folder, self._model, self._variables)

    def load(self, folder: Path) -> None:
        """Put back what `save` wrote; raises ValueError where it is not this net's."""
        with self._placed():
            keeping.load(folder, self._model, self._variables)

    def close(self) -> None:
        self._splits.clear()
        for name in ("_features", "_labels", "_model", "_layers", "_optimizer", "_train", "_measure", "_variables"):
            setattr(self, name, None)
        keras.backend.clear_session()
        # Keras's layers and TensorFlow's functions refer to each other in circles.
        gc.collect()

    def _placed(self) -> tf.device:
        return tf.device("/GPU:0" if self.device == "cuda" else "/CPU:0")

    def _place(self, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(rows.features, self._dtype), tf.constant(rows.labels, tf.int64)


def present_devices() -> list[str]:
    """Name the devices that TensorFlow sees here, the fastest first."""
    return ["cuda", "cpu"] if tf.config.list_physical_devices("GPU") else ["cpu"]


def share_gpus() -> None:
    """Take of the GPUs' memory what is needed instead of all of it, from this process's first use of them on."""
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            # The process has used its GPUs before: they keep the setting they had.
            return


def _build_model(config: RunConfig, inputs: int, classes: int, knobs: dict[str, tf.Variable]) -> keras.Sequential:
    """Make the net as its users write it: Dense with ReLU, Dropout, ..., Dense; then lay the start's weights in."""
    regularizer = LiveL1L2(knobs["l1"], knobs["l2"])
    model = keras.Sequential([keras.Input((inputs,))])
    *hidden, last = layer_widths(config, inputs, classes)
    for number, (_, width) in enumerate(hidden):
        model.add(
            keras.layers.Dense(width, activation="relu", kernel_regularizer=regularizer, kernel_initializer="zeros")
        )
        # Each layer draws its own masks.
        model.add(LiveDropout(knobs["dropout"], seed=config.seed + number))
    model.add(keras.layers.Dense(last[1], kernel_regularizer=regularizer, kernel_initializer="zeros"))
    model.set_weights(initial_weights(config, inputs, classes))
    return model


def _build_optimizer(config: RunConfig) -> keras.optimizers.Optimizer:
    match config.optimizer:
        case "sgd" | "momentum":
            # Keras casts a plain float by way of float32; one of numpy's keeps its digits.
            return PlainSGD(config.learning_rate, momentum=np.float64(OPTIMIZERS[config.optimizer].momentum))
        case "adam" | "adamw":
            # Keras's AdamW is its Adam with a weight_decay by default; ours is always said.
            return FusedAdam(config.learning_rate)
        case unknown:
            raise unknown_optimizer(unknown, Backend.name)
