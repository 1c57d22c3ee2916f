"""PyTorch: the net, its optimizer and its data on one device.

One update is one function, `_update`: it takes its rows and its rate from buffers on the device, at a cursor that
it moves on itself, and leaves its losses there. The CPU calls it k times; CUDA records it once as a graph and
replays that k times. No number comes back to Python before the call ends.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regtui.backends import FloatArray, IntArray, StepLosses
from regtui.backends._device import choose_device, slice_rows
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows, Split
from regtui.core.events import Knob, Metrics
from regtui.core.weights import evaluation_rows, initial_weights, layer_names, layer_widths

# Read once, when torch brings its OpenMP in. Threads that spin while they wait for each other stand still whenever
# another program, or the lab's own screen, wants a core: with one such neighbour on 2 cores an update took 7 times
# as long as with threads that sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM = 0.9
WARM_UPDATES = 3
"""Updates made before a graph is recorded: they create the optimizer's state and the libraries' workspaces."""


class Backend:
    """A net in PyTorch; see `backends.Backend` for the contract."""

    name = "torch"
    version = str(torch.__version__)

    def __init__(self, config: RunConfig, data: Data) -> None:
        """Build the model from `core.weights` and move the data to the device."""
        self.device = choose_device(config.device, present_devices(), self.name)
        self._config = config
        self._names = layer_names(config)
        self._model = _build_model(config, data.inputs, data.classes)
        self._model.to(self.device)
        # Dropout draws from the process's generator, as nn.Dropout does for everyone.
        torch.manual_seed(config.seed)
        layers = [layer for layer in self._model if isinstance(layer, nn.Linear)]
        self._kernels = [layer.weight for layer in layers]
        self._biases = [layer.bias for layer in layers]
        self._dropouts = [layer for layer in self._model if isinstance(layer, nn.Dropout)]
        self._slice = slice_rows([layer.out_features for layer in layers])
        self.parameters = sum(parameter.numel() for parameter in self._model.parameters())

        self._l1, self._l2, self._weight_decay = config.l1, config.l2, config.weight_decay
        self._rate = torch.zeros((), device=self.device)
        self._optimizer = self._build_optimizer()
        self._share_decay()

        self._splits = {"train": self._place(data.train), "valid": self._place(data.valid)}
        if data.test is not None:
            self._splits["test"] = self._place(data.test)
        self._features, self._labels = self._splits["train"]
        chosen = evaluation_rows(config, len(data.train))
        if chosen is not None:
            index = torch.from_numpy(chosen).to(self.device)
            self._splits["train"] = (self._features[index], self._labels[index])

        self._cursor = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._rates = torch.zeros(0, device=self.device)
        self._losses = torch.zeros(0, 2, device=self.device)
        self._rows: dict[int, Tensor] = {}
        self._replays: dict[int, Callable[[], object]] = {}
        self._record: Callable[[Callable[[], None]], Callable[[], object]] | None = (
            record_graph if self.device == "cuda" else None
        )

    def train_steps(self, rows: IntArray, learning_rates: FloatArray) -> StepLosses:
        """Make k updates: `rows` (k, batch) are indices into the training split, `learning_rates` (k,)."""
        count, batch = rows.shape
        self._reserve(count, batch)
        self._rows[batch][:count].copy_(torch.from_numpy(rows))
        self._rates[:count].copy_(torch.from_numpy(learning_rates))
        self._cursor.zero_()
        self._model.train()
        self._run(lambda: self._update(self._rows[batch]), count, batch)
        losses = self._losses[:count].double().cpu().numpy()
        return StepLosses(losses[:, 0].copy(), losses[:, 1].copy())

    def _run(self, update: Callable[[], None], count: int, batch: int) -> None:
        """Make `count` updates, by replaying a recorded one where the device can."""
        if self._record is None:
            for _ in range(count):
                update()
            return
        done = 0
        if batch not in self._replays:
            done = min(count, WARM_UPDATES)
            warm_up(update, done)
            if done < WARM_UPDATES:
                return
            try:
                self._replays[batch] = self._record(update)
            except RuntimeError:
                # A driver or an op that cannot be recorded: the same updates, one launch at a time.
                self._record = None
                for _ in range(count - done):
                    update()
                return
        replay = self._replays[batch]
        for _ in range(count - done):
            replay()

    def _update(self, rows: Tensor) -> None:
        """Make one update from the batch at the cursor, leave its losses there and move on."""
        batch = rows.index_select(0, self._cursor).view(-1)
        self._rate.copy_(self._rates.index_select(0, self._cursor).view(()))
        logits = self._model(self._features.index_select(0, batch))
        loss = functional.cross_entropy(logits, self._labels.index_select(0, batch))
        penalty = self._penalty()
        in_loss = self._penalty_in_loss()
        self._optimizer.zero_grad(set_to_none=True)
        (loss if in_loss is None else loss + in_loss).backward()  # type: ignore[no-untyped-call]
        if self._decays_by_hand:
            with torch.no_grad():
                torch._foreach_mul_(self._kernels, 1 - self._rate * self._weight_decay)
        self._optimizer.step()
        self._losses.index_copy_(0, self._cursor, torch.stack([loss.detach(), penalty]).view(1, 2))
        self._cursor += 1

    def _penalty(self) -> Tensor:
        """Give l2 * sum(w^2) + l1 * sum(|w|) over the kernels as a number on the device."""
        total = torch.zeros((), device=self.device)
        with torch.no_grad():
            if self._l2:
                total = total + self._l2 * sum(torch.dot(k.view(-1), k.view(-1)) for k in self._kernels)
            if self._l1:
                total = total + self._l1 * sum(k.abs().sum() for k in self._kernels)
        return total

    def _penalty_in_loss(self) -> Tensor | None:
        """Give the part of the penalty whose gradient the optimizer's weight_decay does not add."""
        terms = []
        if self._l1:
            terms += [self._l1 * kernel.abs().sum() for kernel in self._kernels]
        if self._l2_in_loss:
            terms += [self._l2 * kernel.square().sum() for kernel in self._kernels]
        return torch.stack(terms).sum() if terms else None

    def evaluate(self, split: Split) -> Metrics:
        """Measure a split with dropout off and without penalty, each row weighing the same."""
        features, labels = self._splits[split]
        self._model.eval()
        loss, correct = 0.0, 0.0
        with torch.inference_mode():
            for part, answers in zip(torch.split(features, self._slice), torch.split(labels, self._slice), strict=True):
                logits = self._model(part)
                summed = functional.cross_entropy(logits, answers, reduction="sum")
                hits = (logits.argmax(1) == answers).sum()
                found = torch.stack([summed, hits.to(summed.dtype)]).tolist()
                loss, correct = loss + found[0], correct + found[1]
        return Metrics(loss=loss / len(labels), accuracy=correct / len(labels))

    def set_knob(self, knob: Knob, value: float) -> None:
        """Turn l2, l1, weight_decay or dropout from the next update on; raises ValueError for any other."""
        match knob:
            case "l1":
                self._l1 = value
            case "l2":
                self._l2 = value
            case "weight_decay":
                self._weight_decay = value
            case "dropout":
                for layer in self._dropouts:
                    layer.p = value
            case _:
                raise ValueError(f"{knob} is not a knob of a backend")
        self._share_decay()
        # A recorded graph holds the old number.
        self._replays.clear()

    def penalty(self) -> float:
        """Give the L2 and L1 terms at the present weights."""
        return float(self._penalty())

    def weight_norms(self) -> dict[str, float]:
        """Give the L2 norm of each kernel: hidden_1, hidden_2, ..., output."""
        with torch.no_grad():
            norms = torch.stack([torch.linalg.vector_norm(kernel) for kernel in self._kernels]).tolist()
        return dict(zip(self._names, norms, strict=True))

    def weights(self) -> list[NDArray[np.float32]]:
        """Copy the kernels (inputs, outputs) and biases out, first layer first."""
        out: list[NDArray[np.float32]] = []
        for kernel, bias in zip(self._kernels, self._biases, strict=True):
            out += [kernel.detach().cpu().numpy().T.copy(), bias.detach().cpu().numpy().copy()]
        return out

    def close(self) -> None:
        """Give the device's memory back."""
        self._replays.clear()
        self._splits.clear()
        self._rows.clear()
        self._optimizer.state.clear()
        self._optimizer.param_groups.clear()
        self._kernels, self._biases, self._dropouts = [], [], []
        self._features = self._labels = self._losses = torch.zeros(0)
        self._model = nn.Sequential()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        """Make the framework's optimizer; `_share_decay` then gives the kernels their weight_decay."""
        groups: list[dict[str, Any]] = [{"params": self._kernels}, {"params": self._biases}]
        on_cuda = self.device == "cuda"
        # One kernel for all parameters and both moments; a rate in a tensor can change under a recorded graph.
        fused = self.device in ("cpu", "cuda")
        match self._config.optimizer:
            case "sgd":
                return torch.optim.SGD(groups, lr=self._rate, weight_decay=0, fused=fused)
            case "momentum":
                return torch.optim.SGD(groups, lr=self._rate, momentum=MOMENTUM, weight_decay=0, fused=fused)
            case "adam":
                return torch.optim.Adam(groups, lr=self._rate, weight_decay=0, fused=fused, capturable=on_cuda)
            case _:
                return torch.optim.AdamW(groups, lr=self._rate, weight_decay=0, fused=fused, capturable=on_cuda)

    def _share_decay(self) -> None:
        """Hand l2 or weight_decay to the optimizer's weight_decay, whichever of the two it means by that.

        In SGD and Adam it is added to the gradient: 2 * l2 * w is the gradient of l2 * sum(w^2). In AdamW it is
        decoupled. What it cannot do is done by hand. Kernels only.
        """
        decoupled = self._config.optimizer == "adamw"
        self._decays_by_hand = bool(self._weight_decay) and not decoupled
        # Decay comes before the optimizer, which would then add the l2 term of weights that are already smaller.
        self._l2_in_loss = bool(self._l2) and (decoupled or self._decays_by_hand)
        group = self._optimizer.param_groups[0]
        group["weight_decay"] = self._weight_decay if decoupled else 0.0 if self._l2_in_loss else 2 * self._l2

    def _reserve(self, count: int, batch: int) -> None:
        """Make room for `count` updates of `batch` rows; room grows by doubling, since a graph holds its address."""
        if count > len(self._rates):
            room = 1 << (count - 1).bit_length()
            self._rates = torch.zeros(room, device=self.device)
            self._losses = torch.zeros(room, 2, device=self.device)
            self._rows.clear()
            self._replays.clear()
        if batch not in self._rows:
            self._rows[batch] = torch.zeros(len(self._rates), batch, dtype=torch.int32, device=self.device)

    def _place(self, rows: Rows) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(rows.features).to(self.device), torch.from_numpy(rows.labels).to(self.device)


def present_devices() -> list[str]:
    """Name the devices that torch sees here, the fastest first."""
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present.insert(0, "cuda")
    return present


def warm_up(update: Callable[[], None], count: int) -> None:
    """Make updates on a side stream, as CUDA asks for before recording; they are updates like any other."""
    if not torch.cuda.is_available():
        for _ in range(count):
            update()
        return
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(count):
            update()
    torch.cuda.current_stream().wait_stream(stream)


def record_graph(update: Callable[[], None]) -> Callable[[], object]:
    """Record one update as a CUDA graph, without making it, and give what replays it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    return graph.replay


def _build_model(config: RunConfig, inputs: int, classes: int) -> nn.Sequential:
    """Make the net as its users write it: Linear, ReLU, Dropout, ..., Linear; then lay the start's weights in."""
    model = nn.Sequential()
    *hidden, last = layer_widths(config, inputs, classes)
    for width_in, width_out in hidden:
        model.extend([nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(config.dropout)])
    model.append(nn.Linear(*last))
    start = iter(initial_weights(config, inputs, classes))
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(torch.from_numpy(next(start).T))
                layer.bias.copy_(torch.from_numpy(next(start)))
    return model
