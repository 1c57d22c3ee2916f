"""Tables of text: Keras's and Lightning's CSVLogger, Ultralytics, timm, fastai, DVCLive and others."""

import csv
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from regtui import analysis
from regtui.core.history import History
from regtui.readers import LogError, open_log, read_history
from regtui.readers.dvclive import DvcliveReader
from regtui.report import page
from regtui.tui import eventlines

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"

KERAS = """
import sys, keras, numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 4)).astype("float32"); y = (x[:, 0] > 0).astype("int32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
folder = sys.argv[1]
for epochs, append in ((4, False), (3, True)):
    model.fit(x, y, epochs=epochs, validation_split=0.25, verbose=0, callbacks=[
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.CSVLogger(folder + "/training.log", append=append, separator=";"),
        keras.callbacks.ModelCheckpoint(folder + "/model.{epoch:02d}-{val_loss:.2f}.keras"),
    ])
"""

LIGHTNING = """
import sys, lightning, torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
class Net(lightning.LightningModule):
    def __init__(self, width=3):
        super().__init__(); self.save_hyperparameters(); self.layer = torch.nn.Linear(4, 2)
    def training_step(self, batch, _):
        loss = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True); return loss
    def validation_step(self, batch, _):
        self.log("val_loss", torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)
torch.manual_seed(0)
x = torch.randn(64, 4); y = (x[:, 0] > 0).long()
rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)
trainer = lightning.Trainer(max_epochs=6, logger=CSVLogger(sys.argv[1], flush_logs_every_n_steps=5),
    log_every_n_steps=2, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
    callbacks=[LearningRateMonitor(), ModelCheckpoint(save_top_k=-1)])
trainer.fit(Net(), rows, rows)
"""


def follow(command: list[str], folder: Path, path: Path) -> tuple[History, int]:
    """Run a program, and read its log while it does; gives what was read and in how many pieces."""
    history, pieces, reader = History(), 0, None
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        running = True
        while running:
            # A look now and then, so that the one that trains has the processor.
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            running = process.returncode is None
            if reader is None and path.exists():
                try:
                    reader = open_log(path)
                except LogError:
                    continue
            events = reader.poll() if reader is not None else []
            pieces += bool(events)
            history.apply(events)
    assert process.returncode == 0
    assert reader is not None
    history.apply(reader.poll())
    return history, pieces


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_keras_is_followed_while_it_trains_and_its_second_fit_is_drawn_on_and_marked(tmp_path):
    pytest.importorskip("keras", reason="Keras writes the log that is read here")
    history, pieces = follow([sys.executable, "-c", KERAS, str(tmp_path)], tmp_path, tmp_path / "training.log")
    rows = list(csv.DictReader((tmp_path / "training.log").read_text().splitlines(), delimiter=";"))
    table = history.evaluations
    assert history.trainer == "keras"
    assert table["epoch"].values.tolist() == [1, 2, 3, 4, 5, 6, 7]
    for name, column in (
        ("loss", "step/loss"), ("val_loss", "valid/loss"), ("accuracy", "train/accuracy"),
        ("val_accuracy", "valid/accuracy"), ("learning_rate", "learning_rate"),
    ):  # fmt: skip
        assert table[column].values.tolist() == [float(row[name]) for row in rows]
    assert history.resumed_at == [pytest.approx(5)]
    assert [each.epoch for each in history.checkpoints] == sorted(each.epoch for each in history.checkpoints)
    assert len(history.checkpoints) >= 4
    assert pieces > 2


def test_lightning_is_followed_while_it_trains(tmp_path):
    pytest.importorskip("lightning", reason="Lightning writes the log that is read here")
    folder = tmp_path / "lightning_logs" / "version_0"
    history, _ = follow([sys.executable, "-c", LIGHTNING, str(tmp_path)], tmp_path, folder / "metrics.csv")
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))

    def logged(name: str) -> list[float]:
        return [float(row[name]) for row in rows if row[name]]

    def known(values: np.ndarray) -> list[float]:
        return values[np.isfinite(values)].tolist()

    assert (history.trainer, history.settings) == ("lightning", {"width": 3})
    assert known(history.evaluations["valid/loss"].values) == logged("val_loss")
    assert known(history.evaluations["step/loss"].values) == logged("train_loss_epoch")
    assert known(history.steps["step/loss"].values) == logged("train_loss_step")
    assert set(known(history.steps["learning_rate"].values)) == {0.01}
    assert not history.resumed
    assert [(each.epoch, each.step) for each in history.checkpoints] == [(epoch, 8 * epoch) for epoch in range(1, 7)]
    assert analysis.best_epoch(history) == 6


def test_the_folder_of_a_lightning_run_is_its_log(tmp_path):
    text = "epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.6\n1,19,0.4,\n1,19,,0.5\n"
    write(tmp_path / "lightning_logs" / "version_3" / "metrics.csv", text)
    write(tmp_path / "lightning_logs" / "version_3" / "hparams.yaml", "lr: 0.1\nmax_epochs: 7\n")
    for folder in (tmp_path, tmp_path / "lightning_logs" / "version_3"):
        history = read_history(folder)
        assert (history.run.run_id, history.trainer, history.plan.epochs) == ("version_3", "lightning", 7)
        assert history.evaluations["valid/loss"].values.tolist() == [0.6, 0.5]


def test_a_table_that_is_written_anew_with_another_column_is_read_from_its_start(tmp_path):
    path = write(tmp_path / "metrics.csv", "epoch,step,train_loss\n0,9,0.5\n")
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    write(path, "epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.6\n1,19,0.4,\n")
    history.apply(reader.poll())
    assert history.steps["step/loss"].values.tolist() == [0.5, 0.4]
    assert history.evaluations["valid/loss"].values.tolist() == [0.6]


def test_a_run_taken_up_from_a_checkpoint_is_one_curve_whose_later_values_win(tmp_path):
    path = write(tmp_path / "log.csv", "step,loss\n1,5\n2,4\n3,3\n4,2\n3,2.5\n4,1.5\n5,1\n")
    history = read_history(path)
    assert history.steps.step.values.tolist() == [1, 2, 3, 4, 5]
    assert history.steps["step/loss"].values.tolist() == [5, 4, 2.5, 1.5, 1]
    assert history.resumed_at == [2]


def test_keras_fits_of_one_epoch_each_are_drawn_on(tmp_path):
    history = read_history(write(tmp_path / "training.log", "epoch,loss,val_loss\n0,3,4\n0,2,3\n0,1,2\n"))
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3]
    assert history.evaluations["valid/loss"].values.tolist() == [4, 3, 2]
    # The chart, the table of epochs and the event log mark it.
    assert page.render(history, 80, 24).count("resumed") >= 3
    assert eventlines.resumed_text(history.resumed[0]) == "resumed at epoch 2"


def test_what_is_no_number_is_a_gap(tmp_path):
    text = 'epoch,loss,val_acc,val_loss\n0,1.5,"[0.1, 0.2]",NA\n1,"[0.5]",None,2\n2,tensor(0.25),,nan\n'
    history = read_history(write(tmp_path / "training.log", text))
    assert history.evaluations["step/loss"].values.tolist() == [1.5, 0.5, 0.25]
    assert np.isnan(history.evaluations["valid/loss"].values).tolist() == [True, False, True]


def test_the_parts_of_what_ultralytics_minimises_are_summed_and_kept(tmp_path):
    text = (
        "                  epoch,      train/box_loss,      train/cls_loss,        val/box_loss,        val/cls_loss,"
        " metrics/mAP_0.5, x/lr0\n"
        "                      0,                 1.0,                 2.0,                0.5,                   1,"
        "             0.1,  0.01\n"
        "                      1,                 0.5,                 1.0,                  0,                   0,"
        "               0,  0.01\n"
    )
    write(tmp_path / "exp3" / "opt.yaml", "epochs: 5\nlr0: 0.01\n")
    history = read_history(write(tmp_path / "exp3" / "results.csv", text))
    table = history.evaluations
    assert (history.trainer, history.run.run_id, history.plan.epochs) == ("ultralytics", "exp3", 5)
    assert table["epoch"].values.tolist() == [1, 2]
    assert table["step/loss"].values.tolist() == [3, 1.5]
    assert str(table["valid/loss"].values.tolist()) == "[1.5, nan]"
    assert table["train/box_loss"].values.tolist() == [1, 0.5]
    assert str(table["metrics/mAP_0.5"].values.tolist()) == "[0.1, nan]"


def test_timms_summary_is_read_and_its_percents_are_shares(tmp_path):
    text = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,6.9,6.8,0.1,0.5,0.1\n1,6.5,6.2,5.5,15,0.1\n"
    write(tmp_path / "args.yaml", "epochs: 300\nmodel: resnet50\n")
    history = read_history(write(tmp_path / "summary.csv", text))
    assert (history.trainer, history.settings["model"], history.plan.epochs) == ("timm", "resnet50", 300)
    assert history.evaluations["valid/accuracy"].values.tolist() == [0.001, 0.055]
    assert history.evaluations["valid/loss"].values.tolist() == [6.8, 6.2]


def test_fastais_heading_that_comes_again_is_passed_over_and_marks_another_fit(tmp_path):
    heading = "epoch,train_loss,valid_loss,accuracy,time\n"
    text = f"{heading}0,1.0,1.1,0.5,00:01\n1,0.9,1.0,0.6,00:01\n{heading}0,0.8,0.9,0.7,00:01\n"
    reader = open_log(write(tmp_path / "history.csv", text))
    history = History()
    history.apply(reader.poll())
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3]
    assert history.evaluations["valid/loss"].values.tolist() == [1.1, 1.0, 0.9]
    assert (len(history.resumed), reader.warnings()) == (1, [])


@pytest.mark.parametrize(
    "text",
    [
        ",loss,val_loss\n0,0.5,0.6\n1,0.4,0.5\n",
        "Unnamed: 0\tloss\tval_loss\n0\t0.5\t0.6\n1\t0.4\t0.5\n",
        "loss;val_loss\n0,5;0,6\n0,4;0,5\n",
        "loss val_loss\n0.5 0.6\n0.4 0.5\n",
        "\ufeffepoch,loss,val_loss\r\n1,0.5,0.6\r\n2,0.4,0.5\r\n",
        '"epoch","loss","val_loss"\n"1","0.5","0.6"\n"2","0.4","0.5"\n',
        "epoch | loss | val_loss\n1 | 0.5 | 0.6\n2 | 0.4 | 0.5\n",
        "epoch,loss,note,val_loss\n0.0,0.5,first caf\u00e9,0.6\n1.0,0.4,\"a, b\",0.5\n",
    ],
)  # fmt: skip
def test_a_table_of_any_form_is_read(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_bytes(text.encode("latin-1") if "\ufeff" not in text else text.encode())
    history = read_history(path)
    assert history.evaluations["epoch"].values.tolist() == [1, 2]
    assert history.evaluations["step/loss"].values.tolist() == [0.5, 0.4]
    assert history.evaluations["valid/loss"].values.tolist() == [0.6, 0.5]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("iris.csv", "sepal length,sepal width,species\n5.1,3.5,setosa\n"),
        ("wine.csv", "fixed acidity;volatile acidity;quality\n7.4;0.7;5\n"),
        ("steps.csv", "date,steps,calories\n" + "".join(f"2020-01-0{day},{day * 7919 % 5000},9\n" for day in range(9))),
        ("series.csv", "timestamp,value\n1,2\n2,3\n"),
        ("claims.csv", "age,region,sum,claims,loss\n3,2,1,3,4\n"),
        ("package.json", '{\n  "name": "x",\n  "version": "1.0"\n}\n'),
        ("requirements.txt", "torch==2.1\nnumpy>=1.2\n"),
        ("README.md", "Train for 30 epochs.\n\nepoch 1: loss 0.3\nepoch 2: loss 0.2\n\n| epoch | loss |\n|---|---|\n"),
        ("notes.txt", "Epochs of a model and their loss\nare numbers, as 3 of them show.\n"),
        ("pyproject.toml", "[project]\nname = 'x'\n[tool.x]\nepochs = 3\nlr = 0.1\n"),
        ("train.py", "step = 5; loss = 0.5\nfor epoch in range(3):\n    epoch = 10; loss = 3\n"),
        ("access.log", '127.0.0.1 - - [10/Oct/2000:13:55:36] "GET /step/3?loss=2 HTTP/1.0" 200 2326\n' * 5),
        ("data.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n'),
    ],
)
def test_what_is_no_log_is_refused_in_a_sentence_that_says_what_was_looked_for(tmp_path, name, text):
    path = write(tmp_path / name, text)
    with pytest.raises(
        LogError, match=r"holds no log of a training: .*; looked for regtui, regtui run, DVCLive, .*CSV, .*text"
    ):
        open_log(path)


def test_dvclives_folder_is_followed_and_names_its_numbers_by_their_paths(tmp_path):
    plots = tmp_path / "dvclive" / "plots" / "metrics"
    write(plots / "train" / "loss.tsv", "timestamp\tstep\tloss\n1000\t0\t0.5\n2000\t1\t0.4\n")
    write(plots / "lr.tsv", "step\tlr\n0\t0.1\n1\t0.1\n")
    reader, history = open_log(tmp_path), History()
    history.apply(reader.poll())
    write(plots / "val" / "loss.tsv", "step\tloss\n0\t0.7\n1\t0.6\n")
    history.apply(reader.poll())
    assert not reader.poll()
    assert history.steps["step/loss"].values.tolist() == [0.5, 0.4]
    assert history.steps["learning_rate"].values.tolist() == [0.1, 0.1]
    assert history.evaluations["valid/loss"].values.tolist() == [0.7, 0.6]
    assert (reader.name, history.run.run_id) == ("DVCLive", tmp_path.name)


def test_a_quiet_look_asks_a_log_that_never_says_its_end_for_nothing_about_its_run(tmp_path):
    asked = []

    class Asked(DvcliveReader):
        def _tell(self):
            asked.append(1)
            return super()._tell()

    write(tmp_path / "plots" / "metrics" / "loss.tsv", "step\tloss\n0\t0.5\n")
    reader = Asked(tmp_path)
    assert reader.poll()
    assert (reader.poll(), reader.poll(), asked) == ([], [], [1])


def test_settings_are_data_and_nothing_else(tmp_path):
    write(tmp_path / "hparams.yaml", f"a: !!python/object/apply:os.mkdir ['{tmp_path}/made']\nlr: 0.1\n")
    history = read_history(write(tmp_path / "metrics.csv", "epoch,step,train_loss\n0,9,0.5\n"))
    assert history.settings["lr"] == 0.1
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the logs of strangers are not beside this checkout")
def test_logs_of_strangers_are_read_as_they_look():
    yolo = read_history(REAL / "ultralytics" / "seg_v11_results.csv")
    assert len(yolo.evaluations) == 10
    assert yolo.evaluations["step/loss"].values[0] == pytest.approx(1.49295 + 2.32854 + 2.62821 + 1.20624)
    assert yolo.evaluations["valid/loss"].values[-1] == pytest.approx(3.98515)
    assert yolo.evaluations["time"].values[0] == 597.18
    unet = read_history(REAL / "dvclive" / "unet")
    assert unet.evaluations["valid/loss"].values[0] == 0.33027538586230504
    assert unet.steps["step/loss"].values[0] == 0.3610332819019876
    assert analysis.verdict(yolo).state == "fitting"
