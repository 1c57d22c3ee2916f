"""PyTorch: the net, its optimizer and its data on one device.

One update is one function, `_update`. The CPU calls it k times; CUDA records it once as a graph and replays that
k times (`graph.py`). No number comes back to Python before the call ends.
"""

import os
from pathlib import Path

import numpy as np

from regtui.backends import FloatArray, IntArray, Snapshot, StepLosses, unknown_optimizer
from regtui.backends._device import choose_device, slice_rows
from regtui.backends._environment import environment
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows, Split
from regtui.core.events import Knob, Metrics
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.weights import Weights, evaluation_rows, initial_weights, layer_names, layer_widths

# Read once, when torch brings its OpenMP in. Its threads wait for each other by spinning, 300,000 turns as it comes:
# whenever another program wants a core, all of them stand still until the scheduler steps in. On 2 cores with busy
# neighbours 10,000 turns made 2 to 6 times the updates a second; what that costs on an idle machine is within noise.
with environment(GOMP_SPINCOUNT=os.environ.get("GOMP_SPINCOUNT", "10000")):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

from regtui.backends.torch import keeping
from regtui.backends.torch.graph import Recorder

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Precision of a run -> torch's type of its weights, rows and losses."""
ONE_THREAD_FLOP = 3e8
"""Updates of less arithmetic run in one thread, which leaves the other cores to the screen and to neighbours. On 2 idle
cores a second thread gave nothing (digits, batch 32), 1.2 times (MNIST, batch 128: 0.14 GFLOP) and 1.5 times (batch
512: 0.55 GFLOP) the steps a second; beside one busy neighbour 0.4, 0.25 and 0.4 times, and the lab's own drawing
cost 4 to 9 % of them instead of 2 % at the most."""


class Backend:
    """A net in PyTorch; see `backends.Backend` for the contract."""

    name = "torch"
    version = str(torch.__version__)

    def __init__(self, config: RunConfig, data: Data) -> None:
        """Build the model from `core.weights` and move the data to the device."""
        self.device = choose_device(config, present_devices(), self.name)
        self._dtype = DTYPES[config.precision]
        self._threads_before = torch.get_num_threads()
        if self.device == "cpu" and updates_flop(config, data) < ONE_THREAD_FLOP:
            torch.set_num_threads(1)
        self._config = config
        self._names = layer_names(config)
        self._model = _build_model(config, data.inputs, data.classes)
        self._model.to(self.device, self._dtype)
        # Dropout draws from the process's generator, as nn.Dropout does for everyone.
        torch.manual_seed(config.seed)
        layers = [layer for layer in self._model if isinstance(layer, nn.Linear)]
        self._kernels = [layer.weight for layer in layers]
        self._biases = [layer.bias for layer in layers]
        self._dropouts = [layer for layer in self._model if isinstance(layer, nn.Dropout)]
        self._slice = slice_rows([layer.out_features for layer in layers])
        self.parameters = sum(parameter.numel() for parameter in self._model.parameters())

        self._l1, self._l2, self._weight_decay = config.l1, config.l2, config.weight_decay
        self._zero = torch.zeros((), dtype=self._dtype, device=self.device)
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

        # The fused optimizers read a rate that lies on the device as float32: float64 is made one by one, exactly.
        recorded = self.device == "cuda" and self._dtype == torch.float32
        self._recorder = Recorder(self._update, self.device) if recorded else None

    def train_steps(self, rows: IntArray, learning_rates: FloatArray) -> StepLosses:
        """Make k updates: `rows` (k, batch) are indices into the training split, `learning_rates` (k,)."""
        self._model.train()
        if self._recorder is not None:
            losses = self._recorder.make(rows, learning_rates)
        else:
            batches = torch.from_numpy(rows).to(self.device)
            pairs = [self._update(*given) for given in zip(batches, learning_rates.tolist(), strict=True)]
            losses = torch.stack([loss for pair in pairs for loss in pair]).view(-1, 2)
        both = losses.cpu().numpy().astype(np.float64)
        return StepLosses(both[:, 0].copy(), both[:, 1].copy())

    def _update(self, batch: Tensor, rate: Tensor | float) -> tuple[Tensor, Tensor]:
        """Make one update; gives the data loss and the penalty, still on the device."""
        logits = self._model(self._features.index_select(0, batch))
        loss = functional.cross_entropy(logits, self._labels.index_select(0, batch))
        penalty, in_loss = self._penalty(), self._penalty_in_loss()
        for parameter in self._kernels + self._biases:
            parameter.grad = None
        (loss if in_loss is None else loss + in_loss).backward()  # type: ignore[no-untyped-call]
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._decays_by_hand:
            with torch.no_grad():
                torch._foreach_mul_(self._kernels, 1 - rate * self._weight_decay)
        self._optimizer.step()
        return loss.detach(), penalty

    def _penalty(self) -> Tensor:
        """Give l2 * sum(w^2) + l1 * sum(|w|) over the kernels as a number on the device."""
        total = self._zero
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
                # Cross entropy written out: a quarter of the ready-made one's time, which is made to have a gradient.
                summed = (logits.logsumexp(1) - logits.gather(1, answers[:, None])[:, 0]).sum()
                hits = (logits.argmax(1) == answers).sum()
                found = torch.stack([summed, hits.to(summed.dtype)]).tolist()
                loss, correct = loss + found[0], correct + found[1]
        return {"loss": loss / len(labels), "accuracy": correct / len(labels)}

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
        if self._recorder is not None:
            self._recorder.forget()

    def penalty(self) -> float:
        """Give the L2 and L1 terms at the present weights."""
        return float(self._penalty())

    def weight_norms(self) -> dict[str, float]:
        """Give the L2 norm of each kernel: hidden_1, hidden_2, ..., output."""
        with torch.no_grad():
            norms = torch.stack([torch.linalg.vector_norm(kernel) for kernel in self._kernels]).tolist()
        return dict(zip(self._names, norms, strict=True))

    def weights(self) -> Weights:
        """Copy the kernels and biases out, in the run's precision."""
        out: Weights = []
        for kernel, bias in zip(self._kernels, self._biases, strict=True):
            out += [kernel.detach().cpu().numpy().T.copy(), bias.detach().cpu().numpy().copy()]
        return out

    def snapshot(self) -> Snapshot:
        """Copy weights, optimizer and dropout's generator, on the device."""
        with torch.no_grad():
            taken = keeping.state_of(self._model, self._parameters, self._optimizer, self.device)
            return {file: {name: held.clone() for name, held in tensors.items()} for file, tensors in taken.items()}

    def restore(self, snapshot: Snapshot) -> None:
        """Put a snapshot back; what was recorded of an update holds the addresses of what was there."""
        keeping.put_back(snapshot, self._model, self._parameters, self._optimizer, self.device)
        if self._recorder is not None:
            self._recorder.forget()

    def save(self, snapshot: Snapshot, folder: Path) -> None:
        """Write a snapshot: `weights.pt`, the model's state_dict, and `optimizer.pt`."""
        keeping.save(snapshot, folder)

    def load(self, folder: Path) -> None:
        """Put back what `save` wrote; raises ValueError where it is not this net's."""
        self.restore(keeping.load(folder, self._model, self._parameters, self._config.optimizer))

    def close(self) -> None:
        """Give the device's memory and the process's threads back."""
        torch.set_num_threads(self._threads_before)
        self._recorder = None
        self._splits.clear()
        self._optimizer.state.clear()
        self._optimizer.param_groups.clear()
        self._kernels, self._biases, self._dropouts = [], [], []
        self._features = self._labels = torch.zeros(0)
        self._model = nn.Sequential()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    @property
    def _parameters(self) -> list[Tensor]:
        return [*self._kernels, *self._biases]

    def _build_optimizer(self) -> torch.optim.Optimizer:
        """Make the framework's optimizer; `_share_decay` then makes the groups and gives the kernels their decay."""
        parameters = self._kernels + self._biases
        on_cuda = self.device == "cuda"
        # One kernel for all parameters and both moments; `capturable` keeps the count of steps on the device.
        fused = self.device in ("cpu", "cuda")
        rate = self._config.learning_rate
        match optimizer := self._config.optimizer:
            case "sgd" | "momentum":
                momentum = OPTIMIZERS[optimizer].momentum
                return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=0, fused=fused)
            case "adam":
                return torch.optim.Adam(parameters, lr=rate, weight_decay=0, fused=fused, capturable=on_cuda)
            case "adamw":
                return torch.optim.AdamW(parameters, lr=rate, weight_decay=0, fused=fused, capturable=on_cuda)
            case _:
                raise unknown_optimizer(optimizer, self.name)

    def _share_decay(self) -> None:
        """Hand l2 or weight_decay to the optimizer's weight_decay, whichever of the two it means by that.

        In SGD and Adam it is added to the gradient: 2 * l2 * w is the gradient of l2 * sum(w^2). In AdamW it is
        decoupled. What it cannot do is done by hand. Kernels only.
        """
        decoupled = OPTIMIZERS[self._config.optimizer].decoupled
        self._decays_by_hand = bool(self._weight_decay) and not decoupled
        # Decay comes before the optimizer, which would then add the l2 term of weights that are already smaller.
        self._l2_in_loss = bool(self._l2) and (decoupled or self._decays_by_hand)
        decay = self._weight_decay if decoupled else 0.0 if self._l2_in_loss else 2 * self._l2
        kernels = {**self._optimizer.param_groups[0], "params": self._kernels, "weight_decay": decay}
        biases = {**kernels, "params": self._biases, "weight_decay": 0.0}
        # Each group costs a call of its own; state belongs to the parameters and stays.
        together = {**biases, "params": self._kernels + self._biases}
        self._optimizer.param_groups[:] = [kernels, biases] if decay else [together]

    def _place(self, rows: Rows) -> tuple[Tensor, Tensor]:
        # The CPU reads the rows where they are; torch warns of arrays that may not be written to.
        features, labels = (np.require(part, requirements=["C", "W"]) for part in (rows.features, rows.labels))
        return torch.from_numpy(features).to(self.device, self._dtype), torch.from_numpy(labels).to(self.device)


def present_devices() -> list[str]:
    """Name the devices that torch sees here, the fastest first."""
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present.insert(0, "cuda")
    return present


def updates_flop(config: RunConfig, data: Data) -> float:
    """Count the floating-point operations of one update: forward and two backward products, 2 a weight and row."""
    weights = sum(wide * high for wide, high in layer_widths(config, data.inputs, data.classes))
    return 6.0 * weights * config.batch_size


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
