"""One process records, the first; those it forks record nothing, and its end is written however it ends."""

import copy
import multiprocessing
import os
import pickle
import signal
from typing import Any

import pytest

import regtui
from regtui.core.events import RunEnded, RunStarted, StepEnded
from regtui.readers import is_being_written

END = b'"kind":"end"'


def losses(records: list[Any]) -> list[float | None]:
    return [each.loss for each in records if isinstance(each, StepEnded)]


@pytest.mark.parametrize(
    ("last", "status", "reason"),
    [
        ("", "finished", ""),
        ("raise ValueError('no such row')", "failed", "ValueError: no such row"),
        ("raise KeyboardInterrupt", "stopped", "stopped by SIGINT"),
        ("sys.exit(0)", "finished", ""),
    ],
)
def test_a_program_that_ends_without_finish_has_an_end(child, log, records, last, status, reason) -> None:
    started = child(f"run = regtui.record(log=log)\nrun.step(loss=1.0)\n{last}")
    started.communicate()
    assert losses(records()) == [1.0]
    assert (records()[-1].status, records()[-1].reason) == (status, reason)


def test_a_process_that_is_killed_loses_half_a_second_at_most(child, log, records, until) -> None:
    started = child(
        "import time\nrun = regtui.record(log=log)\nfor i in range(10**9):\n    run.step(loss=float(i))\n"
        "    run.note(str(time.time()))\n    time.sleep(0.001)\n"
    )
    until(lambda: log.exists() and log.read_bytes().count(b"\n") > 100, started)
    size = log.stat().st_size
    until(lambda: log.stat().st_size > size, started)
    started.kill()
    started.wait()
    found = losses(records())
    assert found == [float(i) for i in range(len(found))]
    assert not log.read_bytes().count(END)
    assert not is_being_written(log)


def test_nothing_is_lost_that_had_reached_the_log_when_a_process_ended_without_a_word(
    child, log, records, until
) -> None:
    started = child(
        "import os\nrun = regtui.record(log=log)\nfor i in range(1000):\n    run.step(loss=float(i))\n"
        "sys.stdin.read()\nos._exit(3)\n"
    )
    until(lambda: log.exists() and log.read_bytes().count(b"\n") == 1001, started)
    started.communicate()
    assert started.returncode == 3
    assert len(losses(records())) == 1000


def test_a_recorder_that_was_not_started_when_the_process_forked_is_the_parents(child, records) -> None:
    started = child(
        """
import os
run = regtui.record(log=log)
if (number := os.fork()) == 0:
    run.step(loss=-1.0)
    sys.exit(0)
os.waitpid(number, 0)
run.step(loss=1.0)
"""
    )
    _, said = started.communicate()
    assert started.returncode == 0
    assert "its recorder was made before this process was" in said
    assert losses(records()) == [1.0]


def test_a_child_that_was_forked_records_nothing_and_leaves_the_log_whole(child, records) -> None:
    started = child(
        """
import os
with regtui.record(log=log) as run:
    for i in range(5):
        run.step(loss=float(i))
        if (number := os.fork()) == 0:
            run.step(loss=-1.0)
            run.note("the child")
            run.epoch(valid={"loss": -1.0})
            run.finish("failed", "the child")
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 7
"""
    )
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert losses(records()) == [0, 1, 2, 3, 4]
    assert [each.status for each in records() if isinstance(each, RunEnded)] == ["finished"]


def test_the_workers_of_multiprocessing_record_nothing(child, records) -> None:
    started = child(
        """
import multiprocessing
def work(i):
    run.step(loss=-1.0)
    return i
run = regtui.record(log=log)
run.step(loss=1.0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(8)) == list(range(8))
run.step(loss=2.0)
"""
    )
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert losses(records()) == [1, 2]
    assert records()[-1].status == "finished"


def test_the_log_of_a_run_that_ended_is_not_held_by_the_workers_it_left(recorder, log) -> None:
    run = recorder()
    run.step(loss=1.0)
    ours, theirs = os.pipe()
    forked, told = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(theirs)
        os.write(told, b"1")
        os.read(ours, 1)  # until the parent has looked
        os._exit(0)
    os.close(ours)
    try:
        os.read(forked, 1)
        run.finish()
        assert not is_being_written(log)
    finally:
        for end in (theirs, forked, told):
            os.close(end)
        os.waitpid(number, 0)


def test_a_recorder_that_is_sent_to_another_process_records_nothing_there(recorder, records) -> None:
    run = recorder()
    run.step(loss=1.0)
    sent = pickle.loads(pickle.dumps(run))
    sent.step(loss=2.0)
    sent.finish("failed")
    assert copy.deepcopy({"run": run})["run"] is run
    run.finish()
    assert losses(records()) == [1.0]


@pytest.mark.parametrize(
    ("environment", "records_here"),
    [
        ({}, True),
        ({"RANK": "0"}, True),
        ({"RANK": "0", "WORLD_SIZE": "4"}, True),
        ({"RANK": "2", "WORLD_SIZE": "4"}, False),
        ({"RANK": "2"}, True),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "1"}, True),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, False),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "RANK": "0", "WORLD_SIZE": "2"}, True),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, False),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1", "WORLD_SIZE": "4"}, False),
        ({"RANK": "many", "WORLD_SIZE": "4"}, True),
    ],
)
def test_of_processes_that_train_together_the_first_alone_records(
    recorder, log, monkeypatch, environment, records_here
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with recorder() as run:
        run.step(loss=1.0)
    assert log.exists() == records_here


def test_a_rank_that_is_given_stands(log, monkeypatch) -> None:
    with regtui.record(log=log, rank=1) as run:
        run.step(loss=1.0)
    assert not log.exists()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with regtui.record(log=log, rank=0) as run:
        run.step(loss=1.0)
    assert log.exists()


def test_two_processes_of_torch_distributed_write_one_log(child, log, records, tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    code = f"""
import torch.distributed as distributed
rank = int({{rank}})
distributed.init_process_group("gloo", init_method="file://{tmp_path}/meet", rank=rank, world_size=2)
with regtui.record(log=log) as run:
    run.step(loss=float(rank))
distributed.barrier()
distributed.destroy_process_group()
"""
    started = [child(code.format(rank=rank)) for rank in range(2)]
    for each in started:
        _, said = each.communicate()
        assert each.returncode == 0, said
    assert losses(records()) == [0.0]
    assert [type(each) for each in records()].count(RunStarted) == 1


def test_the_workers_that_load_data_record_nothing(recorder, records) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    run = recorder().start()

    class Rows(torch.utils.data.Dataset):  # type: ignore[name-defined,misc]
        def __len__(self) -> int:
            return 8

        def __getitem__(self, row: int) -> float:
            run.step(loss=-1.0)
            return float(row)

    for batch in torch.utils.data.DataLoader(Rows(), batch_size=2, num_workers=2, multiprocessing_context="fork"):
        run.step(loss=batch.sum())
    run.finish()
    assert losses(records()) == [1, 5, 9, 13]


def test_a_program_that_closes_all_its_files_trains_on(child) -> None:
    started = child("import os\nrun = regtui.record(log=log)\nrun.step(loss=1.0)\nos.closerange(3, 99)\nrun.finish()")
    _, said = started.communicate()
    assert (started.returncode, said.count("RuntimeWarning")) == (0, 1)
    assert "Bad file descriptor" in said


def test_a_signal_that_ends_the_process_leaves_what_was_written(child, log, records, until) -> None:
    started = child(
        "import time\nrun = regtui.record(log=log)\nwhile True:\n    run.step(loss=1.0)\n    time.sleep(0.01)\n"
    )
    until(lambda: log.exists() and b'"kind":"step"' in log.read_bytes(), started)
    started.send_signal(signal.SIGTERM)
    started.communicate()
    assert started.returncode == -signal.SIGTERM
    assert losses(records())
