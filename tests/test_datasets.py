"""Splits, scaling, label noise, and where named data sets are looked for."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from regtui import datasets
from regtui.core.config import ConfigError, RunConfig
from regtui.datasets import add_noise, load, named, note, split

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"


def config(dataset="digits", **given):
    return RunConfig.create(dataset=dataset, **given)


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path, monkeypatch):
    """Keep caches of the machine the tests run on out of them."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("REGTUI_CACHE_DIR", "KERAS_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)


def pixels(rows, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (rows, 28, 28), dtype=np.uint8), (np.arange(rows) % 10).astype(np.uint8)


def write_npz(path, rows=60, test_rows=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = pixels(rows)
    x_test, y_test = pixels(test_rows, 1)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return x, y


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, packed=True, rows=60, test_rows=20):
    folder.mkdir(parents=True)
    x, y = pixels(rows)
    x_test, y_test = pixels(test_rows, 1)
    for stem, array in zip(named.IDX_STEMS, (x, y, x_test, y_test), strict=True):
        if packed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (folder / stem).write_bytes(idx_bytes(array))
    return x, y


class TestDigits:
    def test_they_are_scikit_learns(self):
        table = named.digits()
        x, y = load_digits(return_X_y=True)
        assert np.array_equal(table.features.array, x)
        assert np.array_equal(table.labels, y)

    def test_they_are_read_by_scikit_learn_itself_where_its_file_has_moved(self, monkeypatch):
        expected = named.digits().features.array
        monkeypatch.setattr(Path, "is_file", lambda path: False)
        assert np.array_equal(named.digits().features.array, expected)

    def test_without_scikit_learn_the_error_says_how_to_get_it(self, monkeypatch):
        monkeypatch.setattr(named, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"--dataset digits comes with scikit-learn, .* pip install scikit-learn"):
            load(config())

    def test_they_are_scaled_to_one(self):
        data = load(config())
        assert (data.name, data.inputs, data.classes, data.test) == ("digits", 64, 10, None)
        assert data.train.features.dtype == np.float32
        assert (data.train.features.min(), data.train.features.max()) == (0, 1)
        assert data.train.labels.dtype == np.int64

    def test_all_but_a_fifth_is_trained_on_unless_said(self):
        data = load(config())
        assert (len(data.train), len(data.valid)) == (1438, 359)

    def test_the_default_lab_has_1000_rows_and_validates_with_all_others(self):
        data = load(RunConfig.create())
        assert (len(data.train), len(data.valid)) == (1000, 797)

    def test_more_rows_than_there_are_is_an_error_that_says_how_many_there_are(self):
        for rows in (1797, 5000):
            with pytest.raises(ConfigError, match=r"--train-rows must be below 1,797, the rows of digits"):
                load(config(train_rows=rows))
        assert len(load(config(train_rows=1796)).valid) == 1


class TestSplit:
    @settings(max_examples=60, deadline=None)
    @given(rows=st.integers(10, 30_000), share=st.floats(0, 1), seed=st.integers(0, 2**31 - 1))
    def test_no_row_is_both_trained_on_and_validated_with(self, rows, share, seed):
        train_rows = min(max(round(share * rows), 1), rows - 1)
        train, valid = split(rows, train_rows, seed)
        assert len(train) == train_rows
        assert len(valid) == min(10_000, rows - train_rows)
        assert len(np.intersect1d(train, valid)) == 0

    def test_a_split_without_a_number_of_rows_uses_every_row(self):
        train, valid = split(60_000, None, 0)
        assert (len(train), len(valid)) == (50_000, 10_000)
        assert len(np.unique(np.concatenate([train, valid]))) == 60_000

    def test_the_same_seed_gives_the_same_split_and_another_seed_another(self):
        assert np.array_equal(split(1000, 500, 7)[0], split(1000, 500, 7)[0])
        assert not np.array_equal(split(1000, 500, 7)[0], split(1000, 500, 8)[0])

    def test_validation_rows_do_not_depend_on_train_rows_where_enough_are_left(self):
        valid = [split(60_000, rows, 3)[1] for rows in (100, 5000, 50_000, None)]
        assert all(np.array_equal(valid[0], each) for each in valid)

    def test_fewer_training_rows_are_part_of_more(self):
        assert np.array_equal(split(60_000, 5000, 3)[0], split(60_000, 20_000, 3)[0][:5000])

    def test_a_split_stays_what_it_was_when_first_released(self):
        """Runs of different versions can be compared as long as this holds."""
        train, valid = split(1797, 1000, 0)
        assert (train[:4].tolist(), valid[-4:].tolist()) == ([585, 1612, 64, 1782], [1402, 1588, 355, 1792])


class TestLabelNoise:
    def test_a_fifth_of_the_labels_is_drawn_anew_from_all_classes(self):
        clean = np.repeat(np.arange(10), 1000)
        noisy = add_noise(clean, 0.2, 10, 0)
        wrong = (noisy != clean).mean()
        assert wrong == pytest.approx(0.18, abs=0.01)
        drawn = np.bincount(noisy[noisy != clean], minlength=10) / (noisy != clean).sum()
        assert drawn == pytest.approx(np.full(10, 0.1), abs=0.03)

    def test_no_more_labels_change_than_were_asked_for(self):
        clean = np.zeros(1001, np.int64)
        for share in (0.001, 0.1, 0.5, 0.999):
            assert (add_noise(clean, share, 1_000_000, 0) != clean).sum() == round(share * 1001)

    def test_validation_and_test_labels_are_never_touched(self, tmp_path):
        write_npz(tmp_path / "mnist.npz", 500)
        clean = load(config("mnist"), cache_dir=tmp_path)
        noisy = load(config("mnist", label_noise=0.5), cache_dir=tmp_path)
        assert not np.array_equal(noisy.train.labels, clean.train.labels)
        assert np.array_equal(noisy.valid.labels, clean.valid.labels)
        assert np.array_equal(noisy.test.labels, clean.test.labels)
        assert np.array_equal(noisy.train.features, clean.train.features)

    def test_more_noise_contains_less(self):
        clean = np.random.default_rng(0).integers(0, 10, 2000)
        little, much = add_noise(clean, 0.1, 10, 0), add_noise(clean, 0.4, 10, 0)
        changed = little != clean
        assert np.array_equal(much[changed], little[changed])

    def test_the_same_seed_gives_the_same_noise_and_another_seed_another(self):
        clean = np.zeros(500, np.int64)
        assert np.array_equal(add_noise(clean, 0.3, 10, 1), add_noise(clean, 0.3, 10, 1))
        assert not np.array_equal(add_noise(clean, 0.3, 10, 1), add_noise(clean, 0.3, 10, 2))

    def test_no_noise_is_no_change(self):
        clean = np.arange(100) % 10
        assert np.array_equal(add_noise(clean, 0.0, 10, 0), clean)


@pytest.fixture(params=["made", *(["real"] if MNIST.is_file() else [])])
def mnist_file(request, tmp_path):
    """A file in MNIST's form, and in addition MNIST itself where it is at hand."""
    if request.param == "real":
        return MNIST
    write_npz(tmp_path / "mnist.npz", rows=11_000, test_rows=10_000)
    return tmp_path / "mnist.npz"


class TestMnist:
    def test_it_has_pixels_in_0_to_1_and_a_test_split(self, mnist_file):
        data = load(config("mnist", train_rows=1000), cache_dir=mnist_file.parent)
        assert (data.inputs, data.classes) == (784, 10)
        assert [len(rows) for rows in (data.train, data.valid, data.test)] == [1000, 10_000, 10_000]
        with np.load(mnist_file) as file:
            expected = file["x_test"][:50].reshape(50, 784) / 255
            assert np.array_equal(data.test.labels, file["y_test"])
        np.testing.assert_allclose(data.test.features[:50], expected, rtol=1e-6)

    def test_its_pixels_are_divided_by_255_whatever_the_split_holds(self, tmp_path):
        x, y = np.full((60, 28, 28), 51, np.uint8), np.arange(60) % 10
        np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y)
        data = load(config("mnist"), cache_dir=tmp_path)
        assert data.train.features.max() == pytest.approx(0.2)

    @pytest.mark.parametrize(
        ("place", "environment"),
        [
            ("cache/mnist.npz", {"REGTUI_CACHE_DIR": "cache"}),
            ("home/.cache/regtui/mnist.npz", {}),
            ("home/.keras/datasets/mnist.npz", {}),
            ("elsewhere/datasets/mnist.npz", {"KERAS_HOME": "elsewhere"}),
        ],
    )
    def test_an_npz_is_found_in_regtuis_and_kerass_cache(self, tmp_path, monkeypatch, place, environment):
        if place.startswith("home/.cache") and sys.platform != "linux":
            pytest.skip("the cache folder of another platform is elsewhere")
        for name, folder in environment.items():
            monkeypatch.setenv(name, str(tmp_path / folder))
        assert note("mnist") == "mnist: 11 MB, not here yet"
        write_npz(tmp_path / place)
        assert note("mnist") == ""
        assert len(load(config("mnist")).train) == 48

    @pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("root", ["data", "", ".cache/torchvision", ".cache/torch", "hub"])
    def test_idx_files_are_found_where_torchvision_puts_them(self, tmp_path, monkeypatch, dataset, packed, root):
        if root == "hub":
            monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home" / "hub"))
        folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[dataset]
        assert "not here yet" in note(dataset)
        x, _ = write_idx(tmp_path / "home" / root / folder / "raw", packed)
        assert note(dataset) == ""
        data = load(config(dataset))
        assert (len(data.train), len(data.valid), len(data.test)) == (48, 12, 20)
        train, _ = split(60, None, 0)
        np.testing.assert_allclose(data.train.features, x.reshape(60, 784)[train] / 255, rtol=1e-6)

    @pytest.mark.parametrize("place", ["home/.keras/datasets/fashion-mnist", "cache/fashion-mnist"])
    def test_fashion_mnist_is_found_in_kerass_and_regtuis_cache(self, tmp_path, monkeypatch, place):
        monkeypatch.setenv("REGTUI_CACHE_DIR", str(tmp_path / "cache"))
        write_idx(tmp_path / place)
        assert load(config("fashion_mnist")).name == "fashion_mnist"

    def test_regtuis_own_cache_wins_over_the_others(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REGTUI_CACHE_DIR", str(tmp_path / "cache"))
        write_npz(tmp_path / "cache" / "mnist.npz", 100)
        write_npz(tmp_path / "home" / ".keras" / "datasets" / "mnist.npz", 60)
        assert len(load(config("mnist")).train) == 80

    def test_a_damaged_file_in_a_cache_is_named(self, tmp_path):
        write_npz(tmp_path / "mnist.npz")
        whole = (tmp_path / "mnist.npz").read_bytes()
        (tmp_path / "mnist.npz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ConfigError, match=r"mnist.npz is not a whole .npz file.*delete it"):
            load(config("mnist"), cache_dir=tmp_path)

    @pytest.mark.parametrize("damage", ["cut", "cut_packed", "not_idx", "empty", "other_length"])
    def test_a_damaged_idx_file_is_named(self, tmp_path, damage):
        folder = tmp_path / "fashion-mnist"
        write_idx(folder)
        labels = folder / "train-labels-idx1-ubyte.gz"
        content = gzip.decompress(labels.read_bytes())
        labels.write_bytes(
            {
                "cut": gzip.compress(content[:-5]),
                "cut_packed": labels.read_bytes()[:-9],
                "not_idx": gzip.compress(b"hello, this is not what you are looking for"),
                "empty": b"",
                "other_length": gzip.compress(idx_bytes(np.zeros(59, np.uint8))),
            }[damage]
        )
        with pytest.raises(ConfigError, match=r"train-labels-idx1-ubyte.gz .*delete"):
            load(config("fashion_mnist"), cache_dir=tmp_path)


def test_every_name_is_loaded_by_it():
    assert datasets.NAMES == ("digits", "mnist", "fashion_mnist")


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"--dataset must be digits, mnist, fashion_mnist, or the path .* not 'iris'"):
        load(config("iris"))
