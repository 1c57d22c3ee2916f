"""MLflow's file store and its database, written here from the facts of their layouts."""

import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from regtui import analysis
from regtui.core.events import Resumed, Rows
from regtui.readers import LogError, open_log, read_history
from regtui.readers.mlflow import MlflowReader
from regtui.readers.mlflow_database import MlflowDatabaseReader
from regtui.runs import find_run

Logged = tuple[str, float, int]

LOSSES: list[Logged] = [entry for step in (10, 20, 30) for entry in (("loss", 1 / step, step), ("lr", 0.1, step))]

TABLES = """
    CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), status VARCHAR(9), start_time BIGINT,
                       end_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER);
    CREATE TABLE metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT,
                          is_nan BOOLEAN, PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
    CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32));
    CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256));
"""


class Files:
    """A run in a file store."""

    def __init__(self, folder: Path, run: str = "a1b2", start: int = 1) -> None:
        self.store, self.path, self.start, self.time = folder / "mlruns", folder / "mlruns" / "7" / run, start, 1000
        (self.path / "metrics").mkdir(parents=True)
        (self.path.parent / "meta.yaml").write_text("name: an experiment\n")
        self.say(1)

    def say(self, status: int) -> None:
        (self.path / "meta.yaml").write_text(
            f"artifact_uri: file:///x\nlifecycle_stage: active\nrun_id: {self.path.name}\nrun_name: 'it''s: one'\n"
            f"start_time: {self.start}\nstatus: {status}\ntags: []\n"
        )

    def end(self, status: str) -> None:
        self.say({"RUNNING": 1, "FINISHED": 3, "FAILED": 4, "KILLED": 5}[status])

    def set(self, **params: object) -> None:
        for name, value in params.items():
            path = self.path / "params" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(value))

    def log(self, *entries: Logged) -> None:
        for key, value, step in entries:
            self.time += 1
            path = self.path / "metrics" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f"{self.time} {value} {step}\n")


class Database:
    """A run in a database."""

    def __init__(self, folder: Path, run: str = "a1b2", start: int = 1, name: str = "it's: one") -> None:
        self.path = self.store = folder / "mlflow.db"
        self.run, self.time = run, 1000
        new = not self.path.exists()
        with closing(sqlite3.connect(self.path)) as database:
            if new:
                database.executescript(TABLES)
            database.execute("INSERT INTO runs VALUES (?, ?, 'RUNNING', ?, NULL, 'active', 1)", (run, name, start))
            database.commit()

    def _do(self, statement: str, *rows: tuple[object, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            database.executemany(statement, rows)
            database.commit()

    def end(self, status: str) -> None:
        self._do("UPDATE runs SET status = ? WHERE run_uuid = ?", (status, self.run))

    def set(self, **params: object) -> None:
        self._do("INSERT INTO params VALUES (?, ?, ?)", *((key, str(each), self.run) for key, each in params.items()))

    def log(self, *entries: Logged) -> None:
        rows: list[tuple[object, ...]] = []
        for key, value, step in entries:
            self.time += 1
            nan = value != value
            held = 0.0 if nan else max(min(value, 1.7976931348623157e308), -1.7976931348623157e308)
            rows.append((key, held, self.time, self.run, step, nan))
        self._do("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", *rows)


@pytest.fixture(params=[Files, Database])
def store(request, tmp_path):
    return request.param(tmp_path)


def reader_of(store: Files | Database) -> MlflowReader | MlflowDatabaseReader:
    return MlflowReader(store.path) if isinstance(store, Files) else MlflowDatabaseReader(store.path)


def steps_of(events: list[object]) -> list[float]:
    return [step for event in events if isinstance(event, Rows) and event.table == "steps" for step in event.step]


def test_losses_settings_name_plan_and_end_are_read(store):
    store.set(lr="0.1", epochs="3", optimizer="sgd", nesterov="True")
    store.log(*LOSSES, ("val_loss", 0.5, 30), ("bad", float("nan"), 30), ("big", float("inf"), 30))
    store.end("FINISHED")
    history = read_history(store.path)
    assert history.steps.step.values.tolist() == [10, 20, 30]
    assert history.steps["step/loss"].values.tolist() == [1 / 10, 1 / 20, 1 / 30]
    assert history.evaluations["valid/loss"].values.tolist() == [0.5]
    assert not np.isfinite(history.steps["big"].values).any()
    assert history.settings == {"lr": 0.1, "epochs": 3, "optimizer": "sgd", "nesterov": True}
    assert (history.run.run_id, history.plan.epochs, history.status) == ("it's: one", 3, "finished")


@pytest.mark.parametrize(("status", "shown"), [("RUNNING", "running"), ("FAILED", "failed"), ("KILLED", "stopped")])
def test_how_a_run_ended_is_told(store, status, shown):
    store.log(*LOSSES)
    store.end(status)
    assert read_history(store.path).status == shown


def test_a_loss_that_is_no_number_any_more_is_seen(store):
    store.log(*(("loss", 1 / step if step < 50 else float("nan"), step) for step in range(1, 60)))
    history = read_history(store.path)
    assert (history.steps.step.last, analysis.verdict(history).state) == (59, "diverged")


def test_what_is_logged_later_is_given_once_and_then_the_end(store):
    reader = reader_of(store)
    assert reader.poll() == []
    store.log(*LOSSES)
    assert steps_of(reader.poll()) == [10, 20, 30]
    assert reader.poll() == []
    store.log(("loss", 0.01, 40), ("grad_norm", 2.0, 40))
    assert steps_of(reader.poll()) == [40]
    store.end("FINISHED")
    assert [type(event).__name__ for event in reader.poll()] == ["RunEnded"]
    assert reader.poll() == []


def test_steps_that_are_each_validated_are_epochs_counted_from_1(store):
    reader = reader_of(store)
    for step in range(4):
        store.log(("loss", 1.0, step))
        reader.poll()
        store.log(("val_loss", 2.0, step))
        reader.poll()
    history = read_history(store.path)
    assert (history.evaluations["epoch"].values.tolist(), history.counts_steps) == ([1, 2, 3, 4], False)


def test_numbers_without_any_step_are_counted(store):
    store.log(*(("loss", 1 / count, 0) for count in range(1, 5)))
    assert read_history(store.path).steps.step.values.tolist() == [1, 2, 3, 4]


def test_an_epoch_among_the_metrics_places_the_evaluations(store):
    store.log(*LOSSES, ("eval_loss", 1.0, 20), ("epoch", 0.5, 20), ("eval_loss", 0.9, 40), ("epoch", 1.0, 40))
    assert read_history(store.path).evaluations["epoch"].values.tolist() == [0.5, 1.0]


def test_a_run_that_is_taken_up_again_is_one_curve_with_one_mark(store):
    store.log(*LOSSES, ("loss", 7.0, 20), ("lr", 0.2, 20), ("loss", 6.0, 30), ("lr", 0.2, 30))
    assert [event.step for event in reader_of(store).poll() if isinstance(event, Resumed)] == [19]
    history = read_history(store.path)
    assert history.steps["step/loss"].values.tolist() == [0.1, 7.0, 6.0]
    assert history.steps["learning_rate"].values.tolist() == [0.1, 0.2, 0.2]


def test_what_is_measured_of_the_machine_is_no_metric_of_the_run(store):
    store.log(*LOSSES, ("system/cpu_utilization_percentage", 50.0, 0), ("system/cpu_utilization_percentage", 50.0, 1))
    assert read_history(store.path).steps.step.values.tolist() == [10, 20, 30]


def test_the_newest_run_of_a_store_of_files_is_read(tmp_path):
    for run, start in (("old", 5), ("new", 50), ("older", 2)):
        Files(tmp_path, run, start).log(("loss", float(start), 1), ("loss", float(start), 2))
    for path in (tmp_path / "mlruns", tmp_path / "mlruns" / "7"):
        assert read_history(path).steps["step/loss"].last == 50.0
    assert {path.name for path in MlflowReader.finds(tmp_path)} == {"old", "new", "older"}


def test_the_newest_run_of_a_database_is_read_and_the_others_are_named(tmp_path):
    for run, start in (("old1", 5), ("new1", 50)):
        Database(tmp_path, run, start, name=f"the {run}").log(("loss", float(start), 1), ("loss", float(start), 2))
    path = tmp_path / "mlflow.db"
    assert read_history(path).steps["step/loss"].last == 50.0
    reader = open_log(path)
    reader.poll()
    assert reader.warnings() == ["mlflow.db holds other runs; mlflow.db#RUN names one of old1 (the old1)"]
    for name in ("old1", "ol", "the old1"):
        assert read_history(f"{path}#{name}").steps["step/loss"].last == 5.0
    assert open_log(f"{path}#nobody").poll() == []
    with pytest.raises(LogError, match="does not exist"):
        open_log(tmp_path / "other.db#new")


def test_a_line_that_is_half_written_is_not_yet(tmp_path):
    files = Files(tmp_path)
    files.log(("loss", 1.0, 1))
    reader = MlflowReader(files.path)
    assert steps_of(reader.poll()) == [1]
    with (files.path / "metrics" / "loss").open("a") as file:
        file.write("1005 0.7")
        file.flush()
        assert reader.poll() == []
        file.write("5 20\n")
    events = reader.poll()
    assert (steps_of(events), events[0].columns["step/loss"].tolist()) == ([20], [0.75])


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"1 2\n", b"1\n", b"a b c\n", b"1 nan nan\n", b"1 9e999 -5\n",
    b"x" * 100_000, b"1 2 1e300\n", b"9" * 5000 + b" 1 2\n", b"\0" * 100 + b"\n"])  # fmt: skip
def test_no_line_of_a_metric_raises(tmp_path, line):
    files = Files(tmp_path)
    files.log(("loss", 1.0, 1))
    with (files.path / "metrics" / "loss").open("ab") as file:
        file.write(line + b"1003 0.5 2\n")
    assert read_history(files.path).steps["step/loss"].values[0] in (1.0, 2.0)


def test_nothing_is_written_beside_a_database(tmp_path):
    database = Database(tmp_path)
    database.log(*LOSSES)
    for ahead in (False, True):
        if ahead:
            with closing(sqlite3.connect(database.path)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        before = (database.path.read_bytes(), sorted(os.listdir(tmp_path)))  # noqa: PTH208
        assert steps_of(open_log(database.path).poll()) == [10, 20, 30]
        assert (database.path.read_bytes(), sorted(os.listdir(tmp_path))) == before  # noqa: PTH208


def test_what_is_written_ahead_is_read_while_its_writer_lives_and_after_it_was_killed(tmp_path):
    database = Database(tmp_path)
    code = """
        import os, sqlite3, sys
        database = sqlite3.connect(sys.argv[1])
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO metrics VALUES ('loss', 0.5, 1, 'a1b2', 10, 0)")
        database.commit()
        print("written", flush=True)
        sys.stdin.readline()
        os._exit(0)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(database.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "written\n"
        before = sorted(os.listdir(tmp_path))  # noqa: PTH208
        reader = MlflowDatabaseReader(database.path)
        assert steps_of(reader.poll()) == [10]
        process.communicate("\n", timeout=30)
    assert steps_of(MlflowDatabaseReader(database.path).poll()) == [10]
    assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208


def test_a_database_in_the_hands_of_a_writer_is_read_when_he_is_done(tmp_path):
    database = Database(tmp_path)
    database.log(*LOSSES)
    code = """
        import sqlite3, sys
        database = sqlite3.connect(sys.argv[1], isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        sys.stdin.readline()
        database.execute("COMMIT")
    """
    reader = MlflowDatabaseReader(database.path)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(database.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "locked\n"
        assert reader.poll() == []
        assert reader.warnings() == ["mlflow.db could not be read: database is locked"]
        process.communicate("\n", timeout=30)
    assert steps_of(reader.poll()) == [10, 20, 30]


@pytest.mark.parametrize("script", [
    "DROP TABLE metrics; CREATE VIEW metrics AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT 'loss' AS key, i AS value, i AS timestamp, 'a1b2' AS run_uuid, i AS step, 0 AS is_nan FROM n",
    "DROP TABLE runs; CREATE VIEW runs AS SELECT 1",
    "DROP TABLE metrics; CREATE TABLE metrics (key, value)",
    "DROP TABLE metrics; CREATE VIRTUAL TABLE metrics USING fts5(key, value, timestamp, run_uuid, step, is_nan)",
])  # fmt: skip
def test_a_hostile_schema_gives_nothing_and_takes_no_time(tmp_path, script):
    database = Database(tmp_path)
    with closing(sqlite3.connect(database.path)) as connection:
        try:
            connection.executescript(script)
        except sqlite3.OperationalError as error:
            pytest.skip(str(error))
    start = time.process_time()
    MlflowDatabaseReader.accepts(database.path)
    assert MlflowDatabaseReader(database.path).poll() == []
    assert time.process_time() - start < 2


def test_values_of_any_type_and_size_never_raise(tmp_path):
    database = Database(tmp_path)
    rows = [(b"\xff\x00", 1, 1, 1, 0), (None, 1, 1, 1, 0), ("loss", "text", 1, 1, 0), ("loss", b"\0", 1, 2, 0),
            ("loss", 1, "when", 3, 0), ("loss", 1, 1, "step", 0), ("loss", 1, 1, -7, 0), ("loss", 1, 1, 2**62, 0),
            ("x" * 100_000, 1, 1, 4, 0), ("loss", 0.5, 1, 5, "maybe"), ("loss", 0.25, 1, 6, 0)]  # fmt: skip
    database._do("INSERT INTO metrics VALUES (?, ?, ?, 'a1b2', ?, ?)", *rows)
    assert read_history(database.path).steps["step/loss"].last == 0.25
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("INSERT INTO metrics VALUES (zeroblob(50000000), 1, 1, 'a1b2', 7, 0)")
        connection.commit()
    MlflowDatabaseReader(database.path).poll()


def test_no_change_of_bytes_in_a_database_raises(tmp_path):
    database = Database(tmp_path)
    database.log(*LOSSES, *(("loss", 1.0, step) for step in range(31, 300)))
    whole, generator = database.path.read_bytes(), random.Random(5)
    path = tmp_path / "mutated.db"
    for attempt in range(200):
        data = bytearray(whole[: generator.randrange(len(whole))] if attempt % 4 == 0 else whole)
        for _ in range(generator.randint(1, 60) if data else 0):
            data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(data)
        MlflowDatabaseReader.accepts(path)
        MlflowDatabaseReader(path).poll()


def test_another_database_in_its_place_is_read_from_its_start(tmp_path):
    Database(tmp_path).log(*LOSSES)
    reader = MlflowDatabaseReader(tmp_path / "mlflow.db")
    reader.poll()
    (tmp_path / "other").mkdir()
    Database(tmp_path / "other", run="zz").log(("loss", 3.0, 4))
    os.replace(tmp_path / "other" / "mlflow.db", tmp_path / "mlflow.db")  # noqa: PTH105
    events = reader.poll()
    assert (type(events[0]).__name__, steps_of(events)) == ("RunStarted", [4])


def test_a_database_of_something_else_is_not_accepted(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE metrics (a)")
    assert not MlflowDatabaseReader.accepts(tmp_path / "mlflow.db")


WRITER = """
    import math, sys
    import mlflow
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment("some")
    with mlflow.start_run(run_name="real"):
        mlflow.log_params({"learning_rate": 0.1, "epochs": 2, "opt/name": "sgd"})
        for step in range(10, 130, 10):
            metrics = {"train/loss": 1 / step, "lr": 0.1 * 0.9**step}
            mlflow.log_metrics(metrics | ({"val_loss": 2 / step} if step % 60 == 0 else {}), step=step)
            if step == 60:
                print("written", flush=True)
                sys.stdin.readline()
        mlflow.log_metric("bad", math.nan, step=120)
"""


@pytest.mark.parametrize("kind", ["files", "database"])
def test_the_real_library_is_followed_and_its_numbers_are_read(tmp_path, kind, monkeypatch):
    library = pytest.importorskip("mlflow", reason="mlflow is not installed")
    if kind == "database":
        pytest.importorskip("sqlalchemy", reason="mlflow-skinny alone cannot open a database")
    assert library.__version__
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    path = tmp_path / ("mlruns" if kind == "files" else "mlflow.db")
    uri = f"file://{path}" if kind == "files" else f"sqlite:///{path}"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(WRITER), uri],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "written\n"
        reader = open_log(path)
        assert steps_of(reader.poll()) == [*range(10, 70, 10)]
        process.communicate("\n", timeout=120)
    assert steps_of(reader.poll()) == [*range(70, 130, 10)]
    history, steps = read_history(path), np.arange(10, 130, 10)
    assert np.array_equal(history.steps["step/loss"].values, 1 / steps)
    assert np.allclose(history.steps["learning_rate"].values, 0.1 * 0.9**steps, rtol=1e-15, atol=0)
    assert history.evaluations["valid/loss"].values.tolist() == [2 / 60, 2 / 120]
    assert history.settings == {"learning_rate": 0.1, "epochs": 2, "opt/name": "sgd"}
    assert (history.run.run_id, history.status, history.plan.epochs) == ("real", "finished", 2)


def test_a_store_and_one_run_of_a_database_are_found_by_their_paths(tmp_path):
    Files(tmp_path)
    Database(tmp_path)
    assert find_run(tmp_path / "mlruns", tmp_path / "runs") == tmp_path / "mlruns"
    assert find_run(f"{tmp_path}/mlflow.db#a1", tmp_path / "runs") == tmp_path / "mlflow.db#a1"
    with pytest.raises(LogError, match="is no run in"):
        find_run(f"{tmp_path}/other.db#a1", tmp_path / "runs")
