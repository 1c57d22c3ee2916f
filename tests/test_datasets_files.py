"""Data files of one's own, good and bad: each bad one gets one sentence that names the file."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from regtui.core.config import ConfigError, RunConfig
from regtui.datasets import NAMES, check, load

X = np.random.default_rng(0).random((40, 6))
Y = np.arange(40) % 4


def read(path, **given):
    return load(RunConfig.create(dataset=str(path), **given))


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def csv(path, *lines, newline="\n"):
    path.write_text(newline.join(lines), encoding="utf-8", newline="")
    return path


def rows(count=40):
    return [f"{row * 0.5},{row % 7},{row % 3}" for row in range(count)]


class TestNpz:
    def test_a_test_split_is_optional(self, tmp_path):
        data = read(npz(tmp_path / "mine.npz", x_train=X, y_train=Y))
        assert (data.name, data.inputs, data.classes, data.test) == ("mine.npz", 6, 4, None)
        assert (len(data.train), len(data.valid)) == (32, 8)

    def test_an_empty_test_split_is_none(self, tmp_path):
        for x, y in ((X[:0], Y[:0]), (np.empty(0), np.empty(0))):
            assert read(npz(tmp_path / "mine.npz", x_train=X, y_train=Y, x_test=x, y_test=y)).test is None

    def test_a_test_split_is_kept_apart(self, tmp_path):
        data = read(npz(tmp_path / "mine.npz", x_train=X, y_train=Y, x_test=X[:7], y_test=Y[:7]))
        assert data.test.labels.tolist() == Y[:7].tolist()

    @pytest.mark.parametrize("shape", [(40, 6), (40, 2, 3), (40, 1, 2, 3), (40,)])
    def test_rows_of_any_shape_are_flattened(self, tmp_path, shape):
        x = X.reshape(shape) if np.prod(shape) == X.size else X[:, 0]
        assert read(npz(tmp_path / "mine.npz", x_train=x, y_train=Y)).inputs == int(np.prod(shape[1:]))

    def test_a_column_is_scaled_by_the_training_splits_own_range(self, tmp_path):
        x = X * [1, 10, 1000, 1e-6, 1, 1] + [0, -5, 1e6, 0, 3, 0]
        data = read(npz(tmp_path / "mine.npz", x_train=x, y_train=Y))
        np.testing.assert_allclose(data.train.features.min(axis=0), 0, atol=1e-7)
        np.testing.assert_allclose(data.train.features.max(axis=0), 1, rtol=1e-6)

    def test_validation_rows_do_not_decide_the_range(self, tmp_path):
        x = X.copy()
        first = read(npz(tmp_path / "a.npz", x_train=x, y_train=Y))
        outside = np.flatnonzero([not (row == first.train.features[:, 0]).any() for row in x[:, 0].astype(np.float32)])
        assert len(outside)
        wide = read(npz(tmp_path / "b.npz", x_train=x, y_train=Y, x_test=x * 9, y_test=Y))
        np.testing.assert_array_equal(first.train.features, wide.train.features)
        assert wide.test.features.max() > 1

    def test_images_share_one_range(self, tmp_path):
        x = np.zeros((40, 2, 3))
        x[:, 0, 0] = np.arange(40) / 10
        x[:, 1, 1] = 8
        data = read(npz(tmp_path / "mine.npz", x_train=x, y_train=Y))
        assert data.train.features[:, 4].tolist() == [1.0] * 32
        assert data.train.features[:, 0].max() < 0.5

    @pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64, bool])
    def test_numbers_of_every_type_are_read(self, tmp_path, dtype):
        x = (X * 100).astype(dtype)
        x[0], x[1] = 0, 1
        data = read(npz(tmp_path / "mine.npz", x_train=x, y_train=Y))
        assert data.train.features.dtype == np.float32
        assert np.isfinite(data.train.features).all()

    def test_a_constant_column_becomes_nothing_rather_than_nan(self, tmp_path):
        x = X.copy()
        x[:, 2] = 7
        assert (read(npz(tmp_path / "mine.npz", x_train=x, y_train=Y)).train.features[:, 2] == 0).all()

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (Y * 10 - 5, Y),
            (Y.astype(np.float64), Y),
            (Y.astype(np.uint8)[:, None], Y),
            (Y > 1, Y > 1),
            (np.array(["d", "a", "c", "b"])[Y], np.array([3, 0, 2, 1])[Y]),
        ],
        ids=["negative", "float", "column", "bool", "text"],
    )
    def test_labels_become_classes_from_0_in_their_own_order(self, tmp_path, labels, expected):
        path = npz(tmp_path / "mine.npz", x_train=X, y_train=labels, x_test=X, y_test=labels)
        assert read(path).test.labels.tolist() == expected.astype(int).tolist()

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"x": X, "y": Y}, "has no x_train; it holds x, y"),
            ({"x_train": X}, "has no y_train; it holds x_train"),
            ({"x_train": X, "y_train": Y, "x_test": X}, "has x_test but no y_test"),
            ({"x_train": X, "y_train": Y, "y_test": Y}, "has y_test but no x_test"),
            ({"x_train": X, "y_train": Y[:39]}, "has 40 rows in x_train but 39 labels in y_train"),
            ({"x_train": X, "y_train": Y, "x_test": X[:5], "y_test": Y}, "has 5 rows in x_test but 40 labels"),
            ({"x_train": X, "y_train": Y, "x_test": X[:, :5], "y_test": Y}, "shape 6 in x_train but 5 in x_test"),
            ({"x_train": X, "y_train": np.eye(4)[Y]}, r"y_train must be one label a row, of shape \(40,\)"),
            ({"x_train": X, "y_train": np.zeros(40)}, "has one class only, 0"),
            ({"x_train": X, "y_train": np.arange(40)}, "has 40 different labels in 40 rows"),
            ({"x_train": X[:9], "y_train": Y[:9]}, "has 9 rows to train on; at least 10"),
            ({"x_train": X[:0], "y_train": Y[:0]}, "x_train holds no rows of numbers"),
            ({"x_train": X[:, :0], "y_train": Y}, "x_train holds no rows of numbers"),
            ({"x_train": np.float64(1), "y_train": Y}, r"x_train holds no rows of numbers, its shape is \(\)"),
            ({"x_train": X, "y_train": np.int64(1)}, r"y_train must be one label a row, of shape \(40,\), not \(\)"),
            ({"x_train": np.where(X[7, 2] == X, np.nan, X), "y_train": Y}, r"not finite .* in row 7"),
            ({"x_train": np.where(X[9, 2] == X, np.inf, X), "y_train": Y}, r"not finite .* in row 9"),
            (
                {"x_train": X, "y_train": Y, "x_test": X * np.nan, "y_test": Y},
                "x_test holds a value that is not finite",
            ),
            ({"x_train": np.where(X > 0.5, 1.7e308, -1.7e308), "y_train": Y}, "too far apart"),
            ({"x_train": X * 1e-300, "y_train": Y, "x_test": X, "y_test": Y}, "too far apart"),
            ({"x_train": X, "y_train": Y + 0.5}, "the label 0.5 in row 0 of y_train is not a whole number"),
            ({"x_train": X, "y_train": Y * np.nan}, "the label nan in row 0 of y_train"),
            ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "has the test label 4, which no training row"),
            ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y.astype(str)}, "text in one of y_train and y_test"),
            ({"x_train": X.astype(str), "y_train": Y}, "x_train must hold numbers, not <U"),
            ({"x_train": X.astype(complex), "y_train": Y}, "x_train must hold numbers, not complex"),
            ({"x_train": X, "y_train": Y.astype("M8[s]")}, "y_train must hold whole numbers or text, not datetime"),
            ({"x_train": X, "y_train": Y.astype(object)}, "holds Python objects in y_train"),
            ({"x_train": X.astype(object), "y_train": Y}, "holds Python objects in x_train"),
        ],
    )
    def test_arrays_that_cannot_be_used_are_named(self, tmp_path, arrays, message):
        path = npz(tmp_path / "mine.npz", **arrays)
        with pytest.raises(ConfigError, match=message) as caught:
            read(path)
        assert caught.value.field == "dataset"
        assert str(path) in str(caught.value)

    def test_nothing_is_ever_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "sprung"),)

        trapped = np.array([Trap()] * 40, dtype=object)
        for path in (npz(tmp_path / "a.npz", x_train=X, y_train=trapped), tmp_path / "b.npz"):
            if path.name == "b.npz":
                path.write_bytes(pickle.dumps(Trap()))
            with pytest.raises(ConfigError):
                read(path)
        assert not (tmp_path / "sprung").exists()


class TestBadFiles:
    @pytest.mark.parametrize("name", ["mine.npz", "mine.csv"])
    def test_a_file_that_is_not_there_is_named(self, tmp_path, name):
        with pytest.raises(ConfigError, match=rf"--dataset .*{name} does not exist"):
            read(tmp_path / name)

    @pytest.mark.parametrize("name", ["mine.npz", "mine.csv"])
    def test_a_folder_is_no_file(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(ConfigError, match=rf"{name} is a folder, not an .npz or .csv file"):
            read(tmp_path / name)

    @pytest.mark.parametrize("name", ["mine.npz", "mine.csv"])
    def test_an_empty_file_is_empty(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(ConfigError, match=rf"{name} is empty"):
            read(tmp_path / name)

    def test_a_folder_without_a_suffix_is_said_to_be_one(self, tmp_path):
        with pytest.raises(ConfigError, match=r"is a folder, not an \.npz or \.csv file"):
            read(tmp_path)

    def test_what_cannot_be_there_is_known_without_reading(self, tmp_path):
        (tmp_path / "mine.csv").write_text("not a data set at all")
        for dataset in (*NAMES, str(tmp_path / "mine.csv")):
            check(dataset)
        for dataset in ("iris", str(tmp_path), str(tmp_path / "none.npz"), "", "~nobody-at-all/mine.npz"):
            with pytest.raises(ConfigError):
                check(dataset)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no pipes in folders")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "mine.csv")
        with pytest.raises(ConfigError, match="is not a regular file"):
            read(tmp_path / "mine.csv")

    def test_a_name_that_no_file_can_have_is_an_error_like_others(self):
        for name in ("a" * 5000 + ".npz", "a\0b.csv"):
            with pytest.raises(ConfigError, match="cannot be read"):
                read(name)

    @pytest.mark.parametrize("keep", [1, 3, 10, 100, 1000, 2000, -1, -30])
    def test_an_npz_cut_off_anywhere_is_not_whole(self, tmp_path, keep):
        path = npz(tmp_path / "mine.npz", x_train=X, y_train=Y)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ConfigError, match=r"mine.npz (is not a whole .npz file|cannot be read)"):
            read(path)

    def test_an_npz_damaged_within_is_named(self, tmp_path):
        path = tmp_path / "mine.npz"
        np.savez_compressed(path, x_train=X, y_train=Y)
        whole = path.read_bytes()
        for at in range(0, len(whole), 41):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            try:
                read(path)  # a byte of a time stamp may do no harm
            except ConfigError as error:
                assert "mine.npz" in str(error)  # noqa: PT017 most, not all, of the damages raise

    @pytest.mark.parametrize("content", [b"x,y\n1,2\n", b"PK\x03\x04", os.urandom(100), b"\x93NUMPY"])
    def test_a_file_of_another_kind_is_no_npz(self, tmp_path, content):
        (tmp_path / "mine.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=r"mine.npz is not a whole .npz file"):
            read(tmp_path / "mine.npz")

    def test_a_zip_of_other_things_is_no_data_set(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
            archive.writestr("x_train", "hello")
            archive.writestr("y_train.npy", b"\x93NUMPY\x01\x00")
        with pytest.raises(ConfigError, match=r"mine\.npz"):
            read(tmp_path / "mine.npz")

    def test_a_npy_file_is_no_npz(self, tmp_path):
        np.save(tmp_path / "mine.npy", X)
        (tmp_path / "mine.npy").rename(tmp_path / "mine.npz")
        with pytest.raises(ConfigError, match=r"mine.npz is not a whole .npz file"):
            read(tmp_path / "mine.npz")


class TestCsv:
    def test_the_label_stands_last(self, tmp_path):
        data = read(csv(tmp_path / "mine.csv", *rows()))
        assert (data.name, data.inputs, data.classes, data.test) == ("mine.csv", 2, 3, None)
        assert len(data.train) + len(data.valid) == 40

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    @pytest.mark.parametrize("end", [[], ["", "  ", ""]])
    def test_line_ends_and_blank_lines_do_not_matter(self, tmp_path, newline, end):
        data = read(csv(tmp_path / "mine.csv", *rows(20), "", *rows(20), *end, newline=newline))
        assert len(data.train) + len(data.valid) == 40

    @pytest.mark.parametrize(
        "header", ["height,width,kind", ",,", '"a, b",c,d', "0,1,label", "\ufeffheight,width,kind"]
    )
    def test_a_first_line_of_names_is_no_row(self, tmp_path, header):
        data = read(csv(tmp_path / "mine.csv", header, *rows()))
        assert (len(data.train) + len(data.valid), data.classes) == (40, 3)

    def test_without_names_the_first_line_is_a_row(self, tmp_path):
        data = read(csv(tmp_path / "mine.csv", *rows(10)))
        assert len(data.train) + len(data.valid) == 10

    def test_text_labels_are_numbered_in_alphabetical_order(self, tmp_path):
        kinds = ["rose", "iris", "tulip"]
        data = read(csv(tmp_path / "mine.csv", *[f"{row},{row % 3},{kinds[row % 3]}" for row in range(60)]))
        assert data.classes == 3
        values = np.round(data.train.features[:, 1] * 2).astype(int)
        assert (
            np.array(["rose", "iris", "tulip"])[values].tolist() == np.array(sorted(kinds))[data.train.labels].tolist()
        )

    def test_whole_numbers_are_ordered_as_numbers_also_when_written_as_floats(self, tmp_path):
        labels = ["10", "9.0", "-1"]
        data = read(csv(tmp_path / "mine.csv", *[f"{row},{row % 3},{labels[row % 3]}" for row in range(60)]))
        values = np.round(data.train.features[:, 1] * 2).astype(int)
        assert np.array([2, 1, 0])[values].tolist() == data.train.labels.tolist()

    def test_each_column_has_a_range_of_its_own(self, tmp_path):
        data = read(csv(tmp_path / "mine.csv", *[f"{row * 1e6},{row * 1e-6},{row % 2}" for row in range(40)]))
        np.testing.assert_allclose(data.train.features[:, 0], data.train.features[:, 1], rtol=1e-5)

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ([*rows(), "1,x,2"], "line 41, column 2: 'x' is not a number"),
            ([*rows(), "1,,2"], "line 41, column 2: '' is not a number"),
            (["1,?,2", *rows()], r"line 1, column 2: '\?' is not a number"),
            (["a,b,c", *rows(), "1,nan,2"], "line 42, column 2: nan is not a finite number"),
            ([*rows(), "-inf,1,2"], "line 41, column 1: -inf is not a finite number"),
            ([*rows(), "inf,-inf,2"], "line 41, column 1: inf is not a finite number"),
            ([*rows(), "1,2"], "line 41 has 2 cells where the lines before have 3"),
            ([*rows(), "1,2,3,4"], "line 41 has 4 cells where the lines before have 3"),
            ([*rows(), "", "1,2, "], "line 42 has no label"),
            ([*rows(), "1,2,0.5"], "line 41: the label 0.5 is not a whole number"),
            ([*rows(), "1,2,nan"], "line 41: the label nan is not a whole number"),
            (["1;2;3"] * 30, "line 1 has one cell; features and then the label are needed, with commas"),
            (["1,2,0"] * 30, "has one class only, 0"),
            ([f"{row},{row}" for row in range(30)], "has 30 different labels in 30 rows"),
            (rows(9), "has 9 rows to train on; at least 10"),
            (["a,b,c"], "has no rows"),
            (["", " "], "has no rows"),
            ([*rows(), '1,"2' + "x" * 200_000, "3"], "line .* is not CSV|line .* cells"),
        ],
    )
    def test_a_line_that_cannot_be_read_is_named(self, tmp_path, lines, message):
        path = csv(tmp_path / "mine.csv", *lines)
        with pytest.raises(ConfigError, match=message) as caught:
            read(path)
        assert caught.value.field == "dataset"
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_bytes_that_are_no_text_are_said_to_be_none(self, tmp_path):
        (tmp_path / "mine.csv").write_bytes(bytes(range(256)) * 4)
        with pytest.raises(ConfigError, match=r"mine.csv is not text in UTF-8"):
            read(tmp_path / "mine.csv")

    def test_numbers_as_large_as_there_are_are_numbers(self, tmp_path):
        lines = [f"1e308,1e308,{row % 2}" for row in range(20)]
        assert read(csv(tmp_path / "mine.csv", *lines)).inputs == 2


def test_more_training_rows_than_a_file_has_is_an_error_that_says_how_many(tmp_path):
    path = csv(tmp_path / "mine.csv", *rows(40))
    with pytest.raises(ConfigError, match=r"--train-rows must be below 40, the rows of .*mine.csv"):
        read(path, train_rows=40)


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    csv(tmp_path / "mine.csv", *rows())
    assert read("~/mine.csv").inputs == 2
