"""NVIDIA GPUs, through NVML and its package nvidia-ml-py.

The run's GPU 0 is the first of those that `CUDA_VISIBLE_DEVICES` names, by index or by UUID (`GPU-`..., `MIG-`..., also
shortened), and without it the first of the machine; others are not looked at. Indices are NVML's, in the order of the
PCI bus, which is CUDA's own where all GPUs are of one kind or `CUDA_DEVICE_ORDER=PCI_BUS_ID` is set. Memory and
utilization are the whole GPU's, whoever uses it.

A GPU that is cut into instances (MIG) has no utilization; memory is the instance's, power and temperature the whole
GPU's. CUDA gives a process one instance of it: the one that is named, else the first.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REFUSALS = 3
"""A question that failed so often in a row is asked no more: the GPU cannot answer it, or is gone."""


@dataclass
class Gpu:
    """A GPU that the run may use, and what NVML calls it."""

    whole: Any
    instance: Any = None
    refused: "Counter[str]" = field(default_factory=Counter)
    """Question -> how often it has failed in a row."""


def _utilization(nvml: Any, gpu: Gpu) -> dict[str, float]:
    if gpu.instance is not None:
        return {}
    return {"utilization": nvml.nvmlDeviceGetUtilizationRates(gpu.whole).gpu / 100}


def _memory(nvml: Any, gpu: Gpu) -> dict[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(gpu.whole if gpu.instance is None else gpu.instance)
    return {"memory": float(memory.used), "memory_total": float(memory.total)}


def _power(nvml: Any, gpu: Gpu) -> dict[str, float]:
    return {"power": nvml.nvmlDeviceGetPowerUsage(gpu.whole) / 1000}


def _temperature(nvml: Any, gpu: Gpu) -> dict[str, float]:
    sensor = getattr(nvml, "NVML_TEMPERATURE_GPU", 0)
    return {"temperature": float(nvml.nvmlDeviceGetTemperature(gpu.whole, sensor))}


QUESTIONS: dict[str, Callable[[Any, Gpu], dict[str, float]]] = {
    "utilization": _utilization, "memory": _memory, "power": _power, "temperature": _temperature,
}  # fmt: skip


class Gpus:
    """Reads the GPUs; raises ImportError without the package, and its errors where there is no driver to be asked."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._gpus = usable(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
        if not self._gpus:
            pynvml.nvmlShutdown()

    def read(self) -> Mapping[str, float]:
        """Give what each GPU answers now, `gpu0/utilization` and so on; what it does not answer is left out."""
        found: dict[str, float] = {}
        for number, gpu in enumerate(self._gpus):
            for question, ask in QUESTIONS.items():
                if gpu.refused[question] >= REFUSALS:
                    continue
                try:
                    answer = ask(self._nvml, gpu)
                except Exception:  # NVML's errors; and what an old library does not have
                    gpu.refused[question] += 1
                    continue
                gpu.refused[question] = 0
                found |= {f"gpu{number}/{quantity}": value for quantity, value in answer.items()}
        return found


def usable(nvml: Any, visible: str | None) -> list[Gpu]:
    """Find the GPUs that a process may use, in its own order; `visible` is CUDA_VISIBLE_DEVICES.

    As CUDA reads it: what follows the first that there is not is not seen, so `-1` and nothing at all hide all.
    """
    count = int(nvml.nvmlDeviceGetCount())
    if visible is None:
        found = [_by_index(nvml, index) for index in range(count)]
        return [gpu for gpu in found if gpu is not None]
    gpus: list[Gpu] = []
    for name in visible.split(","):
        gpu = _named(nvml, name.strip(), count)
        if gpu is None:
            break
        gpus.append(gpu)
    return gpus


def _named(nvml: Any, name: str, count: int) -> Gpu | None:
    if name.isdecimal():
        return _by_index(nvml, int(name)) if int(name) < count else None
    try:
        if name.startswith("MIG-"):
            instance = nvml.nvmlDeviceGetHandleByUUID(name)
            return Gpu(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance), instance)
        for index in range(count) if name.startswith("GPU-") else ():
            if _text(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))).startswith(name):
                return _by_index(nvml, index)
    except Exception:  # none of that name, or none that this user may ask
        return None
    return None


def _by_index(nvml: Any, index: int) -> Gpu | None:
    try:
        whole = nvml.nvmlDeviceGetHandleByIndex(index)
    except Exception:  # it has fallen off the bus, or is another user's
        return None
    return Gpu(whole, _first_instance(nvml, whole))


def _first_instance(nvml: Any, whole: Any) -> Any:
    """Give the first instance of a GPU that is cut into some; None of a whole one."""
    try:
        if nvml.nvmlDeviceGetMigMode(whole)[0] != 1:
            return None
        count = int(nvml.nvmlDeviceGetMaxMigDeviceCount(whole))
    except Exception:  # it can have none
        return None
    for index in range(count):
        try:
            return nvml.nvmlDeviceGetMigDeviceHandleByIndex(whole, index)
        except Exception:  # a place without one
            continue
    return None


def _text(name: str | bytes) -> str:
    """Read what older versions of the package give as bytes."""
    return name.decode("ascii", "replace") if isinstance(name, bytes) else name
