"""The state of a training in torch, taken out, written and read: tensors by name, and nothing else."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

WEIGHTS, OPTIMIZER = "weights.pt", "optimizer.pt"
"""Files: what `model.load_state_dict` takes; and what goes with it, for the training to go on."""

GENERATOR = "generator"
"""Name, in the second file, of the state of the generator that dropout draws from: bytes."""

State = dict[str, dict[str, Tensor]]
"""File -> name -> tensor."""


def state_of(model: nn.Module, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer, device: str) -> State:
    """Name the tensors that the next update depends on, where they are.

    A parameter's slots are `0.exp_avg`, `0.step`, ..., by its number; there are none before the first update.
    """
    slots = {
        f"{number}.{name}": held
        for number, parameter in enumerate(parameters)
        for name, held in optimizer.state.get(parameter, {}).items()
        if isinstance(held, Tensor)
    }
    return {WEIGHTS: dict(model.state_dict()), OPTIMIZER: {**slots, GENERATOR: _generator_state(device)}}


def put_back(
    state: State, model: nn.Module, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer, device: str
) -> None:
    """Put tensors back, copies of them: weights where they are, slots in the place of those that there are."""
    with torch.no_grad():
        for name, held in model.state_dict().items():
            held.copy_(state[WEIGHTS][name])
    optimizer.state.clear()
    for name, held in state[OPTIMIZER].items():
        if name != GENERATOR:
            number, _, slot = name.partition(".")
            optimizer.state[parameters[int(number)]][slot] = held.detach().clone().to(device)
    _set_generator_state(state[OPTIMIZER][GENERATOR].cpu(), device)


def save(state: State, folder: Path) -> None:
    """Write the files; made in memory first, so that a full disk is an OSError and no fault of torch's."""
    for file, tensors in state.items():
        made = io.BytesIO()
        torch.save({name: held.cpu() for name, held in tensors.items()}, made)
        (folder / file).write_bytes(made.getbuffer())


def load(folder: Path, model: nn.Module, parameters: Sequence[Tensor], optimizer: str) -> State:
    """Read the files; raises ValueError where they are not those of this net and this optimizer."""
    state: State = {}
    for file in (WEIGHTS, OPTIMIZER):
        try:
            state[file] = torch.load(folder / file, map_location="cpu", weights_only=True)
        except Exception as error:  # zip, pickle and torch each have their own
            raise ValueError(f"{file} cannot be read: {type(error).__name__}") from None
        if not isinstance(state[file], dict) or not all(isinstance(held, Tensor) for held in state[file].values()):
            raise ValueError(f"{file} holds something else than tensors")
    expected = {name: _form(held) for name, held in model.state_dict().items()}
    if {name: _form(held) for name, held in state[WEIGHTS].items()} != expected:
        raise ValueError(f"{WEIGHTS} has the weights of another net")
    if GENERATOR not in state[OPTIMIZER]:
        raise ValueError(f"{OPTIMIZER} lacks the generator of dropout's masks")
    for name, held in state[OPTIMIZER].items():
        number, _, slot = name.partition(".")
        if name == GENERATOR or slot == "step":
            continue
        if not number.isdecimal() or int(number) >= len(parameters) or held.shape != parameters[int(number)].shape:
            raise ValueError(f"{OPTIMIZER} has the state of another optimizer than {optimizer} of this net")
    return state


def _form(held: Tensor) -> tuple[torch.Size, torch.dtype]:
    return held.shape, held.dtype


def _generator_state(device: str) -> Tensor:
    """Give the state of the generator that nn.Dropout draws from on a device."""
    match device:
        case "cuda":
            return torch.cuda.get_rng_state()
        case "mps":
            return torch.mps.get_rng_state()
        case _:
            return torch.get_rng_state()


def _set_generator_state(state: Tensor, device: str) -> None:
    match device:
        case "cuda":
            torch.cuda.set_rng_state(state)
        case "mps":
            torch.mps.set_rng_state(state)
        case _:
            torch.set_rng_state(state)
