"""Measure training: the tutorial's loop, the framework's own fast way, regtui's loop with its log on, its backend bare.

    python tests/benchmarks/training.py [--framework torch|tensorflow] [--steps 200] [--rounds 5] [--device auto]

MNIST's shape, batch 128, the net 784-200-100-10, Adam. Each framework has a process of its own, in which the four
take turns, so that a busy machine slows all of them; medians over the rounds are compared. Where other programs
want the same cores the best rounds say more: two threads that wait for each other lose more than one does. The
pixels are random when `../shared/data/mnist.npz` is missing: arithmetic takes as long on those.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from regtui import loop
from regtui.backends import Backend, StepLosses, find, names
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
from regtui.core.events import EpochEnded, Metrics
from regtui.readers import LogWriter

MNIST = Path(__file__).parents[3] / "shared/data/mnist.npz"
BATCH = 128

POLICIES: dict[str, dict[str, Any]] = {
    # Each tutorial's own: the rate read and assigned at each step; ReduceLROnPlateau stepped with each batch loss.
    "tensorflow": {"lr_policy": "exponential", "lr_decay": 0.9999, "lr_floor": 1e-6},
    "torch": {"lr_policy": "plateau", "patience": 200},
}

Round = Callable[[], float]
"""Makes a round's updates and gives the seconds they took."""


def main() -> None:
    """Measure each framework asked for in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=names(), help="one only; measured in this process")
    parser.add_argument("--steps", type=int, default=200, help="updates a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    if options.framework:
        measure(options.framework, options.steps, options.rounds, options.device)
        return
    for framework in names():
        subprocess.run([sys.executable, *sys.argv, "--framework", framework], check=True)
    cost_of_a_step()


def measure(framework: str, steps: int, rounds: int, device: str) -> None:
    """Time the stages of a start, then the four ways of training in turns, then evaluation."""
    stages: dict[str, float] = {}
    began = time.perf_counter()
    backend_class = find(framework)
    stages["import"], began = time.perf_counter() - began, time.perf_counter()
    data = mnist_like(steps * BATCH)
    stages["data"], began = time.perf_counter() - began, time.perf_counter()
    config = RunConfig.create(
        "plain",
        framework=framework,
        device=device,
        epochs=rounds + 1,
        train_rows=len(data.train),
        **POLICIES[framework],
    )
    backend = backend_class(config, data)
    stages["build"], began = time.perf_counter() - began, time.perf_counter()
    backend.train_steps(np.zeros((1, BATCH), np.int32), np.full(1, 1e-3))
    stages["first step"] = time.perf_counter() - began

    ways = torch_ways if framework == "torch" else tensorflow_ways
    with tempfile.TemporaryDirectory() as folder, LogWriter(Path(folder) / "events.jsonl") as writer:
        contest: dict[str, Round] = {
            **ways(config, data),
            "regtui's backend, bare": bare(backend, data),
            "regtui's loop, log on": logged(backend_class(config, data), config, data, writer),
        }
        seconds = take_turns(contest, rounds)
    print(f"\n{framework} {backend.version} on {backend.device}, {steps} steps a round, median of {rounds}")
    print("  " + ", ".join(f"{stage} {taken:.2f} s" for stage, taken in stages.items()))
    base = median(next(iter(seconds.values())))
    least = min(next(iter(seconds.values())))
    for name, taken in seconds.items():
        middle, best = median(taken), min(taken)
        print(
            f"  {name:28} {steps / middle:7.0f} steps/s, {base / middle:5.2f} x the tutorial's;"
            f"  best round {steps / best:7.0f}, {least / best:5.2f} x"
        )
    pace = {name: median(taken) for name, taken in seconds.items()}
    ours, fast = pace["regtui's loop, log on"], list(pace.values())[1]
    # The two of a round are compared with each other: neighbours in time share the machine's mood.
    pairs = zip(seconds["regtui's loop, log on"], seconds["regtui's backend, bare"], strict=True)
    lost = median(left / right - 1 for left, right in pairs)
    print(f"  regtui's loop: {fast / ours:.2f} x the fast way; {lost:+.1%} time against its bare backend")
    turns = {"forward": forward_pass(framework, backend, data), "evaluate": timed(lambda: backend.evaluate("valid"))}
    forward, evaluated = (min(taken) for taken in take_turns(turns, 15).values())
    print(
        f"  evaluation of {len(data.valid):,} rows {evaluated * 1e3:.1f} ms, "
        f"one forward pass {forward * 1e3:.1f} ms: {evaluated / forward - 1:+.0%}"
    )
    backend.close()


def take_turns(contest: dict[str, Round], rounds: int) -> dict[str, list[float]]:
    """Run each way once to warm up, then in turns."""
    for way in contest.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, way in contest.items():
            seconds[name].append(way())
    return seconds


def timed(work: Callable[[], object]) -> Round:
    """Give the seconds that a piece of work takes, by a stopwatch around it."""

    def way() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return way


def bare(backend: Backend, data: Data) -> Round:
    """Call the backend's train_steps, 50 updates at a time, and nothing else."""
    rows = np.random.default_rng(0).permutation(len(data.train)).astype(np.int32).reshape(-1, BATCH)
    rates = np.full(len(rows), 1e-3)

    def work() -> None:
        for start in range(0, len(rows), 50):
            backend.train_steps(rows[start : start + 50], rates[start : start + 50])

    return timed(work)


def logged(backend: Backend, config: RunConfig, data: Data, writer: LogWriter) -> Round:
    """Train one epoch through the loop and write its events; the evaluation at its end is not counted."""
    chunks = loop.train(config, backend, data, run_id="benchmark")

    def way() -> float:
        began = time.perf_counter()
        for events in chunks:
            writer.write(events)
            if isinstance(events[-1], EpochEnded):
                return time.perf_counter() - began - (events[-1].evaluate_seconds or 0.0)
        raise RuntimeError("the run has fewer epochs than the benchmark rounds")

    return way


def torch_ways(config: RunConfig, data: Data) -> dict[str, Round]:
    """The tutorial's loop, a DataLoader and a scheduler stepped with each loss; and tensors indexed directly."""
    import torch
    from torch import nn
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    from regtui.backends.torch.backend import present_devices

    device = config.device if config.device != "auto" else present_devices()[0]
    features, labels = torch.from_numpy(data.train.features), torch.from_numpy(data.train.labels)

    def net() -> tuple[nn.Module, torch.optim.Optimizer]:
        layers = [nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)]
        model = nn.Sequential(*layers).to(device)
        return model, torch.optim.Adam(model.parameters(), lr=1e-3)

    loader = DataLoader(TensorDataset(features, labels), batch_size=BATCH, shuffle=True)
    model, optimizer = net()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=200)

    def tutorial() -> None:
        for x, y in loader:
            loss = functional.cross_entropy(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step(loss.item())

    there, theirs = features.to(device), labels.to(device)
    fast_model, fast_optimizer = net()

    def indexed() -> None:
        order = torch.randperm(len(theirs), device=device)
        for rows in order.split(BATCH):
            loss = functional.cross_entropy(fast_model(there[rows]), theirs[rows])
            fast_optimizer.zero_grad()
            loss.backward()
            fast_optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return {"the tutorial's loop": timed(tutorial), "tensors indexed directly": timed(indexed)}


def tensorflow_ways(config: RunConfig, data: Data) -> dict[str, Round]:
    """The tutorial's loop, an eager GradientTape with the rate read and assigned at each step; and keras.fit."""
    from regtui.backends.tensorflow.backend import keras, tf

    def net() -> Any:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((784,)),
                layers.Dense(200, activation="relu"),
                layers.Dense(100, activation="relu"),
                layers.Dense(10),
            ]
        )

    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model, optimizer = net(), keras.optimizers.Adam(1e-3)
    batches = tf.data.Dataset.from_tensor_slices((data.train.features, data.train.labels)).batch(BATCH)

    def tutorial() -> None:
        for x, y in batches:
            with tf.GradientTape() as tape:
                loss = crossentropy(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            if optimizer.learning_rate > 1e-6:
                optimizer.learning_rate = optimizer.learning_rate * 0.9999

    fitted = net()
    fitted.compile(keras.optimizers.Adam(1e-3), crossentropy)

    def fit() -> None:
        fitted.fit(data.train.features, data.train.labels, batch_size=BATCH, epochs=1, verbose=0)

    return {"the tutorial's loop": timed(tutorial), "keras.fit": timed(fit)}


def forward_pass(framework: str, backend: Any, data: Data) -> Round:
    """Put the validation rows through the model once, as large as they are, and do nothing with what comes out."""
    if framework == "torch":
        import torch

        features = torch.from_numpy(data.valid.features).to(backend.device)

        def work() -> None:
            with torch.inference_mode():
                out = backend._model(features)
                out[0, 0].item()

        backend._model.eval()
        return timed(work)
    from regtui.backends.tensorflow.backend import tf

    forward = tf.function(lambda x: backend._model(x, training=False))
    constant = tf.constant(data.valid.features)
    return timed(lambda: forward(constant).numpy())


class Idle:
    """A backend that does nothing, so that what remains is the loop's own cost."""

    name, version, device, parameters = "idle", "0", "cpu", 0

    def train_steps(self, rows: Any, learning_rates: Any) -> StepLosses:
        """Make no update."""
        return StepLosses(np.full(len(learning_rates), 1.5), np.full(len(learning_rates), 0.25))

    def evaluate(self, split: str) -> Metrics:
        """Measure nothing."""
        return Metrics(loss=1.0, accuracy=0.5)

    def penalty(self) -> float:
        """Give nothing."""
        return 0.0

    def weight_norms(self) -> dict[str, float]:
        """Give nothing."""
        return {"output": 1.0}


def cost_of_a_step() -> None:
    """Drive the loop and its log over a backend that does nothing, 50 steps a chunk as a fast net has them."""
    blank = Rows(features=np.zeros((19_000 * 2, 1), np.float32), labels=np.zeros(19_000 * 2, np.int64))
    data = Data(name="blank", train=blank, valid=blank, test=None, classes=2)
    config = RunConfig.create("overfit", epochs=1, batch_size=2)
    loop.MOST_STEPS_AT_ONCE = 50

    def work() -> Iterator[float]:
        for _ in range(7):
            with tempfile.TemporaryDirectory() as folder, LogWriter(Path(folder) / "events.jsonl") as writer:
                began = time.perf_counter()
                for events in loop.train(config, Idle(), data, run_id="benchmark"):  # type: ignore[arg-type]
                    writer.write(events)
                yield (time.perf_counter() - began) / 19_000

    print(f"\nlogging a step, loop and writer together: {median(work()) * 1e6:.2f} microseconds")


def mnist_like(rows: int) -> Data:
    """Give so many training rows of MNIST, or of noise in its shape, and 10,000 to validate."""
    if MNIST.exists():
        with np.load(MNIST) as file:
            features = (file["x_train"].reshape(-1, 784) / 255).astype(np.float32)
            labels = file["y_train"].astype(np.int64)
    else:
        random = np.random.default_rng(0)
        features, labels = random.random((60_000, 784), np.float32), random.integers(0, 10, 60_000)
    chosen = np.resize(np.arange(50_000), rows)
    return Data(
        name="mnist",
        train=Rows(features=features[chosen], labels=labels[chosen]),
        valid=Rows(features=features[50_000:], labels=labels[50_000:]),
        test=None,
        classes=10,
    )


if __name__ == "__main__":
    main()
