"""The state of a training in Keras, written and read: the weights as Keras writes them, and arrays by name.

`backend.py`, which says to Keras what it must before its import, hands Keras's objects in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS, OPTIMIZER = "model.weights.h5", "optimizer.npz"
"""Files: what `model.load_weights` takes; and what goes with it, for the training to go on."""

State = dict[str, NDArray[Any]]
"""Name of a variable -> its value."""

Variables = Mapping[str, Any]
"""Name -> variable of Keras or TensorFlow."""


def variables_of(weights: Sequence[Any], optimizer: Any, generators: Sequence[Any]) -> dict[str, Any]:
    """Name the variables that the next update depends on; names of Keras's own count its objects in the process."""
    named = {f"weight.{number}": each for number, each in enumerate(weights)}
    named |= {f"optimizer.{number}": each for number, each in enumerate(optimizer.variables)}
    return named | {f"generator.{number}": each.state for number, each in enumerate(generators)}


def state_of(variables: Variables) -> State:
    """Copy the values out."""
    return {name: np.array(each.numpy()) for name, each in variables.items()}


def put_back(state: State, variables: Variables) -> None:
    for name, each in variables.items():
        each.assign(state[name])


def save(state: State, folder: Path, model: Any, variables: Variables) -> None:
    """Write the files of a state; Keras writes what the model has, which therefore has that state meanwhile."""
    now = state_of(variables)
    try:
        put_back(state, variables)
        model.save_weights(folder / WEIGHTS)
    finally:
        put_back(now, variables)
    with (folder / OPTIMIZER).open("wb") as file:
        np.savez(file, **_beside_weights(state))


def load(folder: Path, model: Any, variables: Variables) -> None:
    """Put back what the files hold; raises ValueError where they are not those of this net and this optimizer."""
    try:
        model.load_weights(folder / WEIGHTS)
        with np.load(folder / OPTIMIZER, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
    except Exception as error:  # HDF5, zip and Keras each have their own
        raise ValueError(f"cannot be read: {type(error).__name__}") from None
    others = _beside_weights(variables)
    if {name: _form(each) for name, each in state.items()} != {name: _form(each) for name, each in others.items()}:
        raise ValueError(f"{OPTIMIZER} has the state of another optimizer, or of another net")
    put_back(state, others)


def _beside_weights(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in named.items() if not name.startswith("weight.")}


def _form(array: Any) -> tuple[tuple[int, ...], str]:
    return tuple(array.shape), np.dtype(array.dtype).name
