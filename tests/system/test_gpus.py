"""NVIDIA GPUs, as a stand-in for their driver tells of them."""

import json

import pytest

GIB = 2**30


def gpu(uuid: str, **said: object) -> dict[str, object]:
    answers = {"utilization": 93, "memory": 11 * GIB, "power": 305_000, "temperature": 71}
    return {"uuid": uuid, **answers, **said}


READ = """
import json
from regtui.system.gpus import Gpus
gpus = Gpus()
print(json.dumps([dict(gpus.read()) for _ in range(5)]))
"""


@pytest.fixture
def looks(beside_gpus):
    """Give what five looks at a machine of some GPUs find."""

    def read(*gpus, **environment):
        return json.loads(beside_gpus(READ, json.dumps({"gpus": gpus}), **environment))

    return read


def test_two_gpus_are_told_with_shares_bytes_watts_and_degrees(looks):
    found = looks(gpu("GPU-a"), gpu("GPU-b", utilization=4))[0]
    assert found == {
        "gpu0/utilization": 0.93, "gpu0/memory": 11.0 * GIB, "gpu0/memory_total": 80.0 * GIB, "gpu0/power": 305.0,
        "gpu0/temperature": 71.0,
        "gpu1/utilization": 0.04, "gpu1/memory": 11.0 * GIB, "gpu1/memory_total": 80.0 * GIB, "gpu1/power": 305.0,
        "gpu1/temperature": 71.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("1", [0.2]), ("1,0", [0.2, 0.1]), ("GPU-bb", [0.2]), ("GPU-c, 0", [0.3, 0.1]), ("0,7,1", [0.1]),
        ("", []), ("-1", []), ("GPU-nothing", []), ("two", []),
    ],
)  # fmt: skip
def test_the_runs_gpu_0_is_the_first_that_it_may_use(looks, visible, seen):
    machine = [gpu("GPU-aa", utilization=10), gpu("GPU-bb", utilization=20), gpu("GPU-cc", utilization=30)]
    found = looks(*machine, CUDA_VISIBLE_DEVICES=visible)[0]
    assert [found[f"gpu{number}/utilization"] for number in range(len(seen))] == seen
    assert len({name.partition("/")[0] for name in found}) == len(seen)


@pytest.mark.parametrize("visible", [None, "0", "MIG-2"])
def test_of_a_gpu_that_is_cut_into_instances_memory_is_the_instances_and_utilization_is_not_known(looks, visible):
    instances = [{"uuid": "MIG-1", "memory": 1 * GIB}, {"uuid": "MIG-2", "memory": 2 * GIB}]
    chosen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = looks(gpu("GPU-a", utilization="not supported", instances=instances), **chosen)[0]
    assert found["gpu0/memory"] == (2.0 if visible == "MIG-2" else 1.0) * GIB
    assert "gpu0/utilization" not in found
    assert found["gpu0/power"] == 305.0


def test_what_a_gpu_does_not_support_is_left_out_and_asked_for_no_more(beside_gpus):
    code = READ + "import pynvml; print(pynvml.ASKED.count('power'))"
    said, asked = beside_gpus(code, json.dumps({"gpus": [gpu("GPU-a", power="not supported")]})).splitlines()
    assert [set(look) for look in json.loads(said)] == [
        {"gpu0/utilization", "gpu0/memory", "gpu0/memory_total", "gpu0/temperature"}
    ] * 5
    assert asked == "3"


def test_an_error_in_the_middle_costs_one_look(looks):
    found = looks(gpu("GPU-a", utilization=[50, "unknown error", 70]))
    assert [look.get("gpu0/utilization") for look in found] == [0.5, None, 0.7, 0.7, 0.7]


def test_a_gpu_that_falls_off_the_bus_leaves_the_others(looks):
    lost = {name: [1, "GPU is lost"] for name in ("utilization", "memory", "power", "temperature")}
    found = looks(gpu("GPU-a", **lost), gpu("GPU-b"))
    assert "gpu0/utilization" in found[0]
    assert [set(look) for look in found[1:]] == [{name for name in found[0] if name.startswith("gpu1/")}] * 4


def test_a_gpu_of_another_user_is_not_there(looks):
    found = looks(gpu("GPU-a", handle="no permission"), gpu("GPU-b", utilization=20))[0]
    assert found["gpu0/utilization"] == 0.2


SAMPLE = """
import json, threading
from regtui.system import Sampler
found, enough = [], threading.Event()
def take(record):
    found.append(record.metrics)
    if len(found) == 2:
        enough.set()
sampler = Sampler(take, step=lambda: 7, paused=lambda: False)
sampler.start()
assert enough.wait(30)
sampler.stop()
print(json.dumps(found))
"""


@pytest.mark.parametrize("why", ["driver not loaded", "no permission", "library not found"])
def test_without_a_driver_there_is_the_rest(beside_gpus, why):
    found = json.loads(beside_gpus(SAMPLE, json.dumps({"init": why, "gpus": []})))
    assert {"rss", "cpu", "cores", "host/utilization", "host/memory", "host/memory_total"} == set(found[1])


RECORD = """
import json, time, regtui, pynvml
with regtui.record(log="run.jsonl") as run:
    run.step(loss=1.0)
    while "memory" not in pynvml.ASKED:
        time.sleep(0.01)
history = regtui.History()
history.apply(regtui.open_log("run.jsonl").poll())
print(json.dumps([history.end.status, len(history.system)]))
"""


def test_a_driver_that_hangs_holds_up_neither_the_run_nor_its_end(beside_gpus):
    hanging = json.dumps({"gpus": [gpu("GPU-a", memory="hangs")]})
    assert json.loads(beside_gpus(RECORD, hanging)) == ["finished", 0]
