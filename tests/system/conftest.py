"""A stand-in for nvidia-ml-py, put before the real one in processes of their own: no test needs a GPU or a driver."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PYNVML = """
import json, os, time

NVML_TEMPERATURE_GPU = 0
ASKED = []
MACHINE = json.loads(os.environ["PRETENDED"])


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class Numbers:
    def __init__(self, **numbers):
        self.__dict__.update(numbers)


def answer(gpu, what):
    ASKED.append(what)
    said = gpu.get(what, "not supported")
    if isinstance(said, list):
        said = said.pop(0) if len(said) > 1 else said[0]
    if said == "hangs":
        time.sleep(3600)
    if isinstance(said, str):
        raise (NVMLError_NotSupported if said == "not supported" else NVMLError)(said)
    return said


def nvmlInit():
    if "init" in MACHINE:
        answer(MACHINE, "init")


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return len(MACHINE["gpus"])


def nvmlDeviceGetHandleByIndex(index):
    answer(MACHINE["gpus"][index], "handle") if "handle" in MACHINE["gpus"][index] else None
    return MACHINE["gpus"][index]


def nvmlDeviceGetUUID(gpu):
    return gpu["uuid"]


def nvmlDeviceGetHandleByUUID(uuid):
    for gpu in MACHINE["gpus"]:
        for instance in gpu.get("instances", []):
            if instance["uuid"] == uuid:
                return instance
    raise NVMLError("not found")


def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance):
    return next(gpu for gpu in MACHINE["gpus"] if instance in gpu.get("instances", []))


def nvmlDeviceGetMigMode(gpu):
    if "instances" not in gpu:
        raise NVMLError_NotSupported("not supported")
    return [1, 1]


def nvmlDeviceGetMaxMigDeviceCount(gpu):
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(gpu, index):
    if index >= len(gpu["instances"]):
        raise NVMLError("not found")
    return gpu["instances"][index]


def nvmlDeviceGetUtilizationRates(gpu):
    return Numbers(gpu=answer(gpu, "utilization"), memory=1)


def nvmlDeviceGetMemoryInfo(gpu):
    return Numbers(used=answer(gpu, "memory"), total=80 * 2**30)


def nvmlDeviceGetPowerUsage(gpu):
    return answer(gpu, "power")


def nvmlDeviceGetTemperature(gpu, sensor):
    assert sensor == NVML_TEMPERATURE_GPU
    return answer(gpu, "temperature")
"""

PATIENCE_SECONDS = 60


@pytest.fixture
def beside_gpus(tmp_path: Path) -> Callable[..., str]:
    """Run some Python where the stand-in tells of a machine (as JSON); gives what it printed."""
    (tmp_path / "pynvml.py").write_text(PYNVML)

    def run(code: str, machine: str, **environment: str) -> str:
        path = os.pathsep.join([str(tmp_path), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "PRETENDED": machine, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
