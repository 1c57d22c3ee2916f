"""Downloads, from a real server on the loopback interface: whole ones, broken ones, and none at all."""

import contextlib
import gzip
import hashlib
import io
import itertools
import os
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from regtui.core.config import ConfigError
from regtui.datasets import named
from regtui.datasets.named import Download, download, find


def archive():
    """A small data set in MNIST's layout, large enough to be sent in more than one piece."""
    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    x = random.integers(0, 256, (200, 28, 28), dtype=np.uint8)
    y = (np.arange(200) % 10).astype(np.uint8)
    np.savez(buffer, x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])
    return buffer.getvalue()


ARCHIVE = archive()


def entry(content=ARCHIVE, name="mnist.npz"):
    return Download(name=name, checksum=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))


class Server:
    """Serves what it is given by name; `cut` bytes of a file and then a closed connection, where asked."""

    def __init__(self):
        self.files = {"mnist.npz": ARCHIVE}
        self.cut = None
        self.endless = False
        self.redirect = None
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                server.asked.append(name)
                if name not in server.files:
                    self.send_error(404)
                    return
                if server.redirect is not None:
                    self.send_response(302)
                    self.send_header("Location", server.redirect)
                    self.end_headers()
                    return
                if server.endless:
                    self.send_response(200)
                    self.end_headers()
                    with contextlib.suppress(ConnectionError):
                        while True:
                            self.wfile.write(bytes(1 << 16))
                content = server.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: server.cut])
                if server.cut is not None:
                    self.close_connection = True

            def log_message(self, *args):
                """Say nothing on stderr."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/"

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder, on a machine that has no data set anywhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("REGTUI_CACHE_DIR", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_a_data_set_that_is_nowhere_is_downloaded_and_kept(server, folder):
    for _ in range(2):
        table = find("mnist", "mnist", "MNIST", [entry()], None, folder, server.url)
        assert (len(table.labels), len(table.test[1])) == (200, 30)
    assert left_in(folder) == ["mnist.npz"]
    assert server.asked == ["mnist.npz"]


def test_what_was_downloaded_is_its_owners_alone_and_so_is_the_folder_made_for_it(server, folder):
    before = os.umask(0)
    try:
        find("mnist", "mnist", "MNIST", [entry()], None, folder, server.url)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "mnist.npz")] == [0o700, 0o600]


def test_a_data_set_in_four_files_is_downloaded_into_a_folder_of_its_own(server, folder):

    def idx(array):
        return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()

    random = np.random.default_rng(1)
    files = []
    for stem, rows in zip(named.IDX_STEMS, (60, 60, 20, 20), strict=True):
        array = random.integers(0, 256, (rows, 28, 28)) if "images" in stem else np.arange(rows) % 10
        server.files[f"{stem}.gz"] = gzip.compress(idx(array.astype(np.uint8)))
        files.append(entry(server.files[f"{stem}.gz"], f"{stem}.gz"))
    seen = []
    table = find(
        "fashion_mnist", "fashion-mnist", "FashionMNIST", files, lambda *at: seen.append(at), folder, server.url
    )
    assert (len(table.labels), len(table.test[1])) == (60, 20)
    assert left_in(folder / "fashion-mnist") == sorted(f"{stem}.gz" for stem in named.IDX_STEMS)
    whole = sum(file.size for file in files)
    assert seen[-1] == (whole, whole)
    assert {total for _, total in seen} == {whole}


def test_progress_rises_from_little_to_all(server, folder):
    seen = []
    download("mnist", [entry()], folder, lambda done, whole: seen.append((done, whole)), server.url)
    done = [at for at, _ in seen]
    assert done == sorted(done)
    assert done[0] < done[-1] == len(ARCHIVE)


def test_a_wrong_checksum_is_an_error_and_nothing_is_kept(server, folder):
    server.files["mnist.npz"] = ARCHIVE[:-1] + b"?"
    with pytest.raises(ConfigError, match=r"has another checksum: try again, or put mnist\.npz into .*cache"):
        download("mnist", [entry()], folder, None, server.url)
    assert left_in(folder) == []


@pytest.mark.parametrize("cut", [0, 1, len(ARCHIVE) // 2, len(ARCHIVE) - 1])
def test_a_connection_cut_half_way_is_an_error_and_nothing_half_written_stays(server, folder, cut):
    server.cut = cut
    with pytest.raises(ConfigError, match=r"mnist.* broke off half way: try again"):
        download("mnist", [entry()], folder, None, server.url)
    assert left_in(folder) == []


def test_a_server_that_sends_without_end_is_left_at_the_size_of_the_file(server, folder):
    server.endless = True
    seen = []
    with pytest.raises(
        ConfigError, match=rf"sends more than the {len(ARCHIVE):,} bytes of the file: try again, or put"
    ):
        download("mnist", [entry()], folder, lambda done, whole: seen.append(done), server.url)
    assert max(seen) <= len(ARCHIVE)
    assert left_in(folder) == []


@pytest.mark.parametrize("change", [b"more", b"other"])
def test_a_file_of_another_length_is_an_error_and_nothing_is_kept(server, folder, change):
    server.files["mnist.npz"] = ARCHIVE + b"?" if change == b"more" else b"<html>moved</html>"
    with pytest.raises(ConfigError, match=r"mnist.*(sends more than|broke off half way)"):
        download("mnist", [entry()], folder, None, server.url)
    assert left_in(folder) == []


def test_a_server_that_sends_a_little_now_and_then_is_left(server, folder):
    hours = itertools.count(step=3600.0)
    with pytest.raises(ConfigError, match=r"sends less than 4 kB a second: try again"):
        download("mnist", [entry()], folder, None, server.url, clock=lambda: next(hours))
    assert left_in(folder) == []


def test_a_redirection_to_a_file_of_this_machine_is_not_followed(server, folder, tmp_path):
    (tmp_path / "secret").write_bytes(ARCHIVE)
    server.redirect = (tmp_path / "secret").as_uri()
    with pytest.raises(ConfigError, match=r"mnist\.npz cannot be reached"):
        download("mnist", [entry()], folder, None, server.url)
    assert left_in(folder) == []


def test_after_a_connection_was_cut_the_next_try_works(server, folder):
    server.cut = 1000
    with pytest.raises(ConfigError):
        find("mnist", "mnist", "MNIST", [entry()], None, folder, server.url)
    server.cut = None
    assert len(find("mnist", "mnist", "MNIST", [entry()], None, folder, server.url).labels) == 200


def test_a_file_that_the_server_does_not_have_is_an_error_with_its_answer(server, folder):
    server.files.clear()
    with pytest.raises(ConfigError, match=r"/mnist\.npz answers 404: put mnist\.npz into"):
        download("mnist", [entry()], folder, None, server.url)
    assert left_in(folder) == []


def test_without_a_server_the_error_says_where_to_put_the_file(folder, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(ConfigError) as caught:
            find("mnist", "mnist", "MNIST", [entry()], None, folder, url)
    assert str(caught.value) == (
        f"--dataset mnist is not on this machine and {url}mnist.npz cannot be reached: "
        f"put mnist.npz into {folder}, or choose digits"
    )
    assert left_in(folder) == []


def test_a_progress_that_raises_leaves_nothing_behind(server, folder):
    """How a download is broken off by its user."""

    def stop(done, whole):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("mnist", [entry()], folder, stop, server.url)
    assert left_in(folder) == []


def test_a_cache_folder_that_cannot_be_made_is_named(server, folder):
    folder.write_text("a file stands in the way")
    with pytest.raises(ConfigError, match=r"cannot be kept in .*cache .*: set REGTUI_CACHE_DIR"):
        download("mnist", [entry()], folder, None, server.url)


def test_nothing_is_said_on_the_screen(server, folder, capfd):
    download("mnist", [entry()], folder, None, server.url)
    assert capfd.readouterr() == ("", "")


def test_the_published_files_are_what_keras_and_torchvision_expect():
    """Names, checksums and sizes as in keras.datasets.mnist and torchvision.datasets.FashionMNIST."""
    assert named.MNIST[0].checksum.endswith("731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1")
    assert [file.checksum.removeprefix("md5:")[:8] for file in named.FASHION_MNIST] == [
        "8d4fb7e6", "25c81989", "bef4ecab", "bb300cfd",
    ]  # fmt: skip
    assert named.BASE_URL.startswith("https://")
