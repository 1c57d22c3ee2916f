"""The data sets that regtui knows by name: where they are looked for, and where they come from."""

import gzip
import io
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regtui.core.config import ConfigError
from regtui.datasets.disk import opened, reason
from regtui.datasets.limits import Budget
from regtui.datasets.npz import read_npz
from regtui.datasets.table import Held, Scale, Table, make_table, shown, wrong
from regtui.folders import make_folders

Progress = Callable[[int, int], None]
"""Told the bytes that have come and the bytes in all, as they come."""

BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
"""Where Keras keeps its data sets."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file of a data set, as its publisher serves it."""

    name: str
    """Its name on the server and in the cache folder."""
    checksum: str
    """What pooch holds it to: `md5:` or `sha256:` and the sum."""
    size: int
    """Bytes."""


MNIST = (
    Download(
        name="mnist.npz",
        checksum="sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        size=11490434,
    ),
)
FASHION_MNIST = (
    Download(name="train-images-idx3-ubyte.gz", checksum="md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", size=26421880),
    Download(name="train-labels-idx1-ubyte.gz", checksum="md5:25c81989df183df01b3e8a0aad5dffbe", size=29515),
    Download(name="t10k-images-idx3-ubyte.gz", checksum="md5:bef4ecab320f06d8554ea6380940ec79", size=4422102),
    Download(name="t10k-labels-idx1-ubyte.gz", checksum="md5:bb300cfdad3c16e7a12a480ee83cd310", size=5148),
)
"""In the order in which IDX files are read: images and labels to train on, then those of the test split."""

FILES: Mapping[str, tuple[str, str, Sequence[Download]]] = {
    "mnist": ("mnist", "MNIST", MNIST),
    "fashion_mnist": ("fashion-mnist", "FashionMNIST", FASHION_MNIST),
}
"""Data set -> its folder in regtui's and Keras's cache, its folder in torchvision's, and what is downloaded."""

_DELETE = "delete it, and it is looked for elsewhere or fetched anew"

IDX_STEMS = tuple(file.name.removesuffix(".gz") for file in FASHION_MNIST)
"""Both data sets are published in IDX files of these names."""

PIXELS = Scale(by="fixed", top=255.0)
"""Bytes: the range of a training split of any size, fixed so that it depends on nothing."""


def digits(progress: Progress | None = None, cache: Path | None = None) -> Table:  # noqa: ARG001 the others' form
    """Read scikit-learn's 1,797 digits of 8x8 pixels from 0 to 16; it ships with the package."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise wrong("digits comes with scikit-learn, which is not installed: run pip install scikit-learn")
    file = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        # Importing sklearn.datasets takes a second, in which the default lab trains a dozen epochs.
        numbers = np.loadtxt(file, delimiter=",")
        pixels, labels = numbers[:, :-1], numbers[:, -1].astype(np.int64)
    else:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
    return make_table("digits", Held(pixels), labels, Scale(by="fixed", top=16.0))


def mnist(progress: Progress | None = None, cache: Path | None = None) -> Table:
    """Find MNIST, or download it."""
    return find("mnist", *FILES["mnist"], progress, cache)


def fashion_mnist(progress: Progress | None = None, cache: Path | None = None) -> Table:
    """Find Fashion-MNIST, or download it."""
    return find("fashion_mnist", *FILES["fashion_mnist"], progress, cache)


LOADERS: Mapping[str, Callable[[Progress | None, Path | None], Table]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
}
"""Every named data set, in the order in which people read them."""


def cache_folder() -> Path:
    """Say where downloads are kept: REGTUI_CACHE_DIR, else the platform's cache folder."""
    if given := os.environ.get("REGTUI_CACHE_DIR"):
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("regtui")


def keras_folder() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else _home() / ".keras") / "datasets"


def torchvision_roots() -> list[Path]:
    """Name the folders that people give torchvision as root; it keeps the files in <root>/MNIST/raw."""
    torch_home = os.environ.get("TORCH_HOME")
    return [
        Path("data"),
        Path(),
        _home() / "data",
        _home() / ".cache" / "torchvision",
        Path(torch_home).expanduser() if torch_home else _home() / ".cache" / "torch",
    ]


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without a home, as in some containers
        return Path()


def find(
    name: str,
    folder: str,
    torch_name: str,
    files: Sequence[Download],
    progress: Progress | None = None,
    cache: Path | None = None,
    base_url: str = BASE_URL,
) -> Table:
    """Read a data set from the first place that has it, downloading it into the cache folder when none has.

    `folder` is its name in regtui's and Keras's cache, `torch_name` in torchvision's. A file that was found is not
    held to a checksum (it may have been packed by others) but must be whole.
    """
    cache = cache or cache_folder()
    for place in _places(folder, torch_name, cache):
        if (table := _look(name, *place)) is not None:
            return table
    target = cache if len(files) == 1 else cache / folder
    download(name, files, target, progress, base_url)
    table = _look(name, cache, cache / folder)
    if table is None:
        raise wrong(f"{name} was downloaded into {target} but is not there any more")
    return table


def bytes_to_fetch(name: str, cache: Path | None = None) -> int:
    """Say how much would be downloaded before this data set can be used; 0 where it lies in a folder already.

    Looks for names of files and reads none, in less than a millisecond: quick enough while one types.
    """
    if name not in FILES:
        return 0
    folder, torch_name, files = FILES[name]
    here = any(_files(name, *place) for place in _places(folder, torch_name, cache or cache_folder()))
    return 0 if here else sum(file.size for file in files)


def _places(folder: str, torch_name: str, cache: Path) -> list[tuple[Path | None, Path]]:
    """List the folders of an .npz and of IDX files where a data set is looked for, first to last."""
    own = [(cache, cache / folder), (keras_folder(), keras_folder() / folder)]
    return [*own, *((None, root / torch_name / "raw") for root in torchvision_roots())]


def _files(name: str, npz_folder: Path | None, idx_folder: Path) -> list[Path]:
    """Find <npz folder>/<name>.npz or the four IDX files of a data set; empty when they are not there."""
    if npz_folder is not None and _is_file(file := npz_folder / f"{name}.npz"):
        return [file]
    found = [_present(idx_folder / stem) for stem in IDX_STEMS]
    paths = [path for path in found if path is not None]
    return paths if len(paths) == len(found) else []


def _look(name: str, npz_folder: Path | None, idx_folder: Path) -> Table | None:
    """Read a data set from the files that a place has of it; None when it has none."""
    paths = _files(name, npz_folder, idx_folder)
    if not paths:
        return None
    if len(paths) == 1:
        (file,) = paths
        try:
            return read_npz(file, name, PIXELS)
        except OSError as error:
            raise wrong(f"{file} cannot be read: {reason(error)}") from None
        except ConfigError as error:
            raise wrong(f"{error.problem}; {_DELETE}") from None
    x_train, y_train, x_test, y_test = [read_idx(path) for path in paths]
    for images, labels, path in ((x_train, y_train, paths[1]), (x_test, y_test, paths[3])):
        if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
            raise wrong(f"{path} holds labels of shape {labels.shape} for images of shape {images.shape}: delete both")
    test = Held(x_test.reshape(len(x_test), -1)), y_test
    return make_table(name, Held(x_train.reshape(len(x_train), -1)), y_train, PIXELS, test)


def _present(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return path if _is_file(path) else packed if _is_file(packed) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder of somebody else's
        return False


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read bytes in the IDX format, packed by gzip or not (yann.lecun.com/exdb/mnist: 0, 0, type, rank, sizes).

    Raises ConfigError for a file that is not one, or not whole, or too large.
    """
    try:
        with opened(path) as file:
            if path.suffix != ".gz":
                return _idx(path, file)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _idx(path, unpacked)
    except (EOFError, zlib.error) as error:
        raise wrong(f"{path} cannot be read: {reason(error)}; {_DELETE}") from None
    except ConfigError as error:
        raise wrong(f"{error.problem}; {_DELETE}") from None


def _idx(path: Path, file: io.FileIO | gzip.GzipFile) -> NDArray[np.uint8]:
    magic = file.read(4)
    rank = magic[3] if len(magic) == 4 and magic[:3] == b"\x00\x00\x08" else 0
    packed = file.read(4 * rank)
    sizes = np.frombuffer(packed, ">u4").tolist() if rank and len(packed) == 4 * rank else []
    count = int(np.prod(sizes, dtype=object)) if sizes else 0
    Budget(path).take(f"an array of shape {shown(tuple(sizes))}", 5 * count)
    content = file.read(count + 1) if count else b""
    if not count or len(content) != count:
        raise wrong(f"{path} is not a whole IDX file")
    return np.frombuffer(content, np.uint8).reshape(sizes)


class _Refused(Exception):
    """What a server sends is not what was asked for; says how."""


def download(
    name: str,
    files: Sequence[Download],
    folder: Path,
    progress: Progress | None = None,
    base_url: str = BASE_URL,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Fetch the files of a data set into a folder, each held to its size and its checksum.

    A file stands under its name only when it is whole: it arrives under another, which is removed whatever
    happens. Raises ConfigError saying what went wrong and where to put the files by hand.
    """
    try:
        import pooch
        import requests
        import urllib3
    except ImportError:
        raise wrong(f"{name} is not on this machine, and fetching it needs pooch: run pip install pooch") from None
    pooch.get_logger().setLevel("WARNING")  # it announces each download on the screen
    whole = sum(file.size for file in files)
    by_hand = f"put {' and '.join(each.name for each in files)} into {folder}, or choose digits"
    before = 0
    for file in files:
        url = base_url + file.name
        come = _Come(file.size, before, whole, progress, clock)
        try:
            make_folders(folder)
            pooch.retrieve(url, file.checksum, fname=file.name, path=folder, downloader=come.fetch)
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else "no answer"
            raise wrong(f"{name} could not be downloaded, {url} answers {status}: {by_hand}") from None
        except _Refused as error:
            raise wrong(f"{name} could not be downloaded, {url} {error}: try again, or {by_hand}") from None
        except (requests.exceptions.ContentDecodingError, urllib3.exceptions.HTTPError):
            raise wrong(f"{name} could not be downloaded, {url} broke off half way: try again, or {by_hand}") from None
        except requests.exceptions.RequestException:
            raise wrong(f"{name} is not on this machine and {url} cannot be reached: {by_hand}") from None
        except ValueError:
            raise wrong(
                f"{name} could not be downloaded, what {url} sends has another checksum: try again, or {by_hand}"
            ) from None
        except OSError as error:
            raise wrong(
                f"{name} cannot be kept in {folder} ({reason(error)}): "
                f"set REGTUI_CACHE_DIR to a folder that can be written"
            ) from None
        before += file.size


class _Come:
    """One file on its way: what has come of it, and whether that is still what was asked for."""

    def __init__(
        self, size: int, before: int, whole: int, progress: Progress | None, clock: Callable[[], float]
    ) -> None:
        self._size = size
        self._before = before
        self._whole = whole
        self._progress = progress
        self._clock = clock

    def fetch(self, url: str, output_file: str, _pooch: object) -> None:
        """Write what a server sends into a file, as pooch asks its downloaders to; raises _Refused."""
        import requests

        until = self._clock() + PATIENCE_SECONDS + self._size / SLOWEST
        come = 0
        # Ten seconds to answer at all, thirty without a byte: a dead network is told from a slow one.
        with requests.get(url, stream=True, timeout=(10, 30)) as answer, Path(output_file).open("wb") as out:
            answer.raise_for_status()
            # What has come is taken, however little: a whole piece of it may never be there.
            take = getattr(answer.raw, "read1", answer.raw.read)
            while piece := take(_PIECE, decode_content=True):
                come += len(piece)
                if come > self._size:
                    raise _Refused(f"sends more than the {self._size:,} bytes of the file")
                if self._clock() > until:
                    raise _Refused(f"sends less than {SLOWEST / 1000:.0f} kB a second")
                out.write(piece)
                if self._progress is not None:
                    self._progress(self._before + come, self._whole)
        if come < self._size:
            raise _Refused("broke off half way")


_PIECE = 1 << 16

SLOWEST = 4000
"""Bytes a second, on average: MNIST then takes 48 minutes, and a server that sends a byte now and then is left."""

PATIENCE_SECONDS = 60
"""What any download may take beside that."""
