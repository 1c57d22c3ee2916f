"""What a data file may cost is bounded by regtui, not by the file; benchmarks/hostile_data.py reads many more."""

import gzip
import importlib.util
import itertools
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regtui.cli.lab import cli
from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Data, Rows
from regtui.datasets import commas, limits, load, named, npz
from regtui.preparation import check_fits, machine_memory, weights_bytes

X = np.random.default_rng(0).random((400, 6))
Y = np.arange(400) % 4


def benchmark(name):
    path = Path(__file__).parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOSTILE = benchmark("hostile_data")

LARGE = (
    "bomb-",
    "end-of-line",
    "one-long",
    "columns-",
    "lines-",
    "rows-",
    "quote-open",
    "entries",
    "label",
    "quotes-",
    "classes-",
)
"""Of the zoo, what takes seconds to make; the others are read here."""


def read(path, **given):
    return load(RunConfig.create(dataset=str(path), **given))


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        read(path)
    said = str(caught.value)
    assert said.isprintable()
    assert str(path) in said
    return said


def peak_of(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("name", "make"),
        [pytest.param(*entry, id=entry[0]) for entry in HOSTILE.zoo() if not entry[0].startswith(LARGE)],
    )
    def test_the_zoo_is_read_or_refused_in_a_sentence(self, tmp_path, name, make):
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(make())
        assert HOSTILE.outcome(path) in {"read", "refused"}

    def test_mutations_of_good_files_are_read_or_refused_in_a_sentence(self, tmp_path):
        for number in range(150):
            name, content = HOSTILE.mutated(number)
            path = tmp_path / name
            path.write_bytes(content)
            assert HOSTILE.outcome(path) in {"read", "refused"}, name

    def test_the_good_ones_are_read(self, tmp_path):
        for name, content in HOSTILE.GOOD.items():
            (tmp_path / name).write_bytes(content)
            assert len(read(tmp_path / name).train) == 48


class TestLimits:
    def test_an_array_over_the_limit_is_refused_by_its_header_with_what_lifts_it(self, tmp_path, monkeypatch):
        path = tmp_path / "bomb.npz"
        np.savez_compressed(path, x_train=np.zeros((10_000, 3000), np.float32), y_train=np.arange(10_000) % 2)
        monkeypatch.setenv("REGTUI_MAX_DATA", "50M")
        said = []
        # Of which one read of the file's end, with its directory, takes 4 MB.
        assert peak_of(lambda: said.append(refusal(path))) < 6_000_000
        assert "with x_train of shape (10000, 3000) the data take 240 MB of memory, and 50 MB is the limit" in said[0]
        assert said[0].endswith("REGTUI_MAX_DATA=1G in the environment lifts it")

    def test_the_limit_can_be_lifted_and_lowered(self, tmp_path, monkeypatch):
        np.savez(tmp_path / "mine.npz", x_train=X, y_train=Y)
        monkeypatch.setenv("REGTUI_MAX_DATA", "10kB")
        assert "10 kB is the limit" in refusal(tmp_path / "mine.npz")
        monkeypatch.setenv("REGTUI_MAX_DATA", "8G")
        assert read(tmp_path / "mine.npz").inputs == 6

    def test_the_limit_and_its_word_stand_in_the_help(self):
        said = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
        assert f"{limits.MAX_DATA}=8G in the environment lifts the limit of {limits.size(limits.MOST_BYTES)}" in said

    @pytest.mark.parametrize("given", ["much", "-1", "1e3", "8 G"])
    def test_a_limit_that_is_no_size_is_refused(self, tmp_path, monkeypatch, given):
        np.savez(tmp_path / "mine.npz", x_train=X, y_train=Y)
        monkeypatch.setenv("REGTUI_MAX_DATA", given)
        with pytest.raises(ConfigError, match="REGTUI_MAX_DATA must be a size such as 8G or 500M, not"):
            read(tmp_path / "mine.npz")

    def test_a_table_of_text_over_the_limit_is_refused_before_a_number_is_read(self, tmp_path, monkeypatch):
        (tmp_path / "mine.csv").write_text("a,b\n" + "no number,1\nno number,2\n" * 1000)
        monkeypatch.setenv("REGTUI_MAX_DATA", "20k")
        assert "with 2,000 rows of 1 numbers the data take" in refusal(tmp_path / "mine.csv")

    def test_more_labels_than_there_may_be_classes_are_refused(self, tmp_path):
        many = np.arange(200_002, dtype=np.int32) // 2
        np.savez(tmp_path / "mine.npz", x_train=np.zeros((200_002, 1), np.uint8), y_train=many)
        assert "has 100,001 different labels; 100,000 classes are the most" in refusal(tmp_path / "mine.npz")
        (tmp_path / "mine.csv").write_text("".join(f"1,a{label}\n" for label in range(100_002)))
        assert "has more than 100,000 different labels" in refusal(tmp_path / "mine.csv")

    def test_an_idx_file_that_declares_a_terabyte_is_refused_unread(self, tmp_path):
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 10_000, 10_000, 10_000) + bytes(10**6)))
        with pytest.raises(ConfigError, match=r"the data take 5\.0 TB of memory.*delete it"):
            named.read_idx(path)


class TestBlocks:
    """Large features are read twice, in blocks; a threshold of nothing makes all of them large."""

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">i4"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_features_in_blocks_are_those_read_at_once(self, tmp_path, monkeypatch, dtype, order):
        x = np.asarray((X * 200).astype(dtype), order=order)
        np.savez_compressed(tmp_path / "mine.npz", x_train=x, y_train=Y, x_test=x[:9], y_test=Y[:9])
        at_once = read(tmp_path / "mine.npz")
        monkeypatch.setattr(npz, "HELD_BYTES", 0)
        monkeypatch.setattr(npz, "rows_at_once", lambda size: 7)
        in_blocks = read(tmp_path / "mine.npz")
        for split in ("train", "valid", "test"):
            assert np.array_equal(getattr(at_once, split).features, getattr(in_blocks, split).features)

    def test_a_table_of_text_in_blocks_is_the_one_read_at_once(self, tmp_path, monkeypatch):
        lines = [",".join(f"{value:.6g}" for value in row) + f",kind {label}" for row, label in zip(X, Y, strict=True)]
        (tmp_path / "mine.csv").write_text("\n".join(["a,b,c,d,e,f,g", *lines[:200], "", *lines[200:]]))
        at_once = read(tmp_path / "mine.csv")
        monkeypatch.setattr(commas, "HELD_BYTES", 0)
        monkeypatch.setattr(commas, "_CHUNK", 100)
        in_blocks = read(tmp_path / "mine.csv")
        assert np.array_equal(at_once.train.features, in_blocks.train.features)
        assert np.array_equal(at_once.train.labels, in_blocks.train.labels)

    def test_beside_a_runs_own_copy_there_is_hardly_more_than_a_block(self, tmp_path):
        x = np.zeros((2000, 20_000), np.float32)
        x[:, 0] = np.arange(2000)
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=np.arange(2000) % 2)
        size = x.nbytes
        del x
        assert peak_of(lambda: read(tmp_path / "mine.npz")) < 1.25 * size

    @pytest.mark.parametrize("change", ["shorter", "longer", "other"])
    def test_a_file_that_changes_while_it_is_read_is_noticed(self, tmp_path, monkeypatch, change):
        for module in (npz, commas):
            monkeypatch.setattr(module, "HELD_BYTES", 0)
        whole = "".join(f"{row},{row % 2}\n" for row in range(100))
        (tmp_path / "mine.csv").write_text(whole)
        np.savez(tmp_path / "mine.npz", x_train=X, y_train=Y)
        tables = [commas.read_csv(tmp_path / "mine.csv"), npz.read_npz(tmp_path / "mine.npz")]
        rows = {"shorter": 50, "longer": 200, "other": 60}[change]
        (tmp_path / "mine.csv").write_text("".join(f"{row},{row % 2}\n" for row in range(rows)))
        np.savez(tmp_path / "mine.npz", x_train=np.tile(X, (2, 1))[:rows], y_train=np.tile(Y, 2)[:rows])
        for table in tables:
            with pytest.raises(ConfigError, match="was changed while it was read"):
                list(table.features.blocks())


class TestText:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"1,2,0\n1,\x002,1\n", "line 2 holds a NUL byte"),
            ("1,2,0\n".encode("utf-16"), "is not text in UTF-8 but in UTF-16"),
            (b'1,2,0\n1,"2,1\n3,4,5\n', "line 2 is not CSV"),
            (b"1,2,0\n" + b"1," * 4_200_000, "line 2 is longer than 8,388,608 bytes"),
            (b"1," * 1_100_000 + b"1\n", "line 1 has 1,100,001 cells; 1,000,000 are the most"),
            (b"1,2,0\n1,\x1b[2J,1\n" * 20, "line 2, column 2"),
        ],
        ids=["nul", "utf16", "quote", "endless", "columns", "control"],
    )
    def test_what_is_no_table_is_refused_by_its_line(self, tmp_path, content, message):
        (tmp_path / "mine.csv").write_bytes(content)
        assert message in refusal(tmp_path / "mine.csv")

    def test_cells_in_quotes_may_hold_commas(self, tmp_path):
        labels = itertools.cycle(['"a, x"', '"b, x"', '"c"', "d"])
        (tmp_path / "mine.csv").write_text("".join(f'"{row}",{row % 3},{next(labels)}\n' for row in range(40)))
        data = read(tmp_path / "mine.csv")
        assert (data.inputs, data.classes) == (2, 4)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/proc/kmsg"])
@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_a_device_is_not_read_whatever_it_is_called(tmp_path, device, suffix):
    if not Path(device).exists():
        pytest.skip(f"this platform has no {device}")
    link = tmp_path / f"mine{suffix}"
    link.symlink_to(device)
    assert refusal(link).split(str(link))[1] in {" is not a regular file", " is empty"}


class TestNets:
    DATA = Data(
        name="few",
        train=Rows(features=np.zeros((80, 4), np.float32), labels=np.zeros(80, np.int64)),
        valid=Rows(features=np.zeros((20, 4), np.float32), labels=np.zeros(20, np.int64)),
        test=None,
        classes=3,
    )

    def test_a_net_larger_than_the_machine_is_refused_by_its_widths(self):
        config = RunConfig.create("plain", hidden=(65536, 65536))
        with pytest.raises(
            ConfigError, match=r"makes a net of 4,65536,65536,3 units, which takes at least 69 GB"
        ) as caught:
            check_fits(config, self.DATA, memory=24 * 10**9)
        assert caught.value.field == "hidden"

    def test_a_batch_larger_than_the_machine_is_refused_by_its_rows(self):
        config = RunConfig.create("plain", hidden=(10,), batch_size=1_000_000)
        with pytest.raises(ConfigError, match=r"--batch-size of 1,000,000 rows takes at least") as caught:
            check_fits(config, self.DATA, memory=5000)
        assert caught.value.field == "batch_size"

    def test_float64_takes_twice_as_much(self):
        one, two = (RunConfig.create("plain", hidden=(500, 500), precision=each) for each in ("float32", "float64"))
        assert weights_bytes(two, self.DATA) == pytest.approx(2 * weights_bytes(one, self.DATA), rel=0.01)

    def test_a_usual_net_fits_into_this_machine(self):
        assert machine_memory() is None or machine_memory() > 10**8
        check_fits(RunConfig.create("plain"), self.DATA)
