"""Which of the processes that train together this one is: the first alone records."""

import os
import sys
from typing import Any

RANKS = (
    ("RANK", ("WORLD_SIZE",)),  # torchrun
    ("SLURM_PROCID", ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")),  # of a step, srun's; in a batch script 0
    ("OMPI_COMM_WORLD_RANK", ("OMPI_COMM_WORLD_SIZE",)),  # Open MPI
    ("PMI_RANK", ("PMI_SIZE",)),  # MPICH, Intel MPI
    ("NODE_RANK", ("WORLD_SIZE",)),  # the processes that Lightning starts have no RANK
    ("LOCAL_RANK", ("WORLD_SIZE",)),
)
"""Environment: the number of this process, and how many there are; without more than one a number is a stray one."""


def rank_here() -> int:
    """Give the number of this process among those that train together; 0 where it trains alone."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    for name, sizes in RANKS:
        value = os.environ.get(name, "")
        together = any(size.isdigit() and int(size) > 1 for size in map(os.environ.get, sizes) if size)
        if together and value.isdigit() and (int(value) > 0 or not name.endswith(("NODE_RANK", "LOCAL_RANK"))):
            return int(value)
    return 0


def environment() -> dict[str, Any]:
    """Say what trains, as far as its modules are loaded: nothing is imported for it."""
    found: dict[str, Any] = {"python": sys.version.split()[0]}
    for name in ("torch", "tensorflow", "keras", "jax", "transformers", "lightning"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = str(version)
    return found
