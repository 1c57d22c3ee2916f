"""Updates on CUDA: one is recorded as a graph, then replayed, so that Python launches a step at once.

A graph replays kernels on fixed addresses. So the batch and the rate of an update are taken from buffers on the
device at a cursor, its losses are left there, and the cursor moves on by itself: k replays need nothing from Python.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from regtui.backends import FloatArray, IntArray

Update = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(rows of the batch, rate) -> data loss and penalty, all on the device."""

WARM_UPDATES = 3
"""Updates made before one is recorded: they create the optimizer's state and the libraries' workspaces."""


class Recorder:
    """Makes updates by replaying a recording of one; each batch size has its own."""

    def __init__(
        self, update: Update, device: str, record: Callable[[Callable[[], None]], Callable[[], object]] | None = None
    ) -> None:
        """Take the update to record; `record` stands in for CUDA's graphs where there is no CUDA."""
        self._update = update
        self._device = device
        self._record = record or record_graph
        self._cursor = torch.zeros(1, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._rates = torch.zeros(0, device=device)
        self._losses = torch.zeros(0, 2, device=device)
        self._rows: dict[int, Tensor] = {}
        self._replays: dict[int, Callable[[], object]] = {}

    def make(self, rows: IntArray, learning_rates: FloatArray) -> Tensor:
        """Make k updates; gives their data losses and penalties, shape (k, 2), on the device."""
        count, batch = rows.shape
        self._reserve(count, batch)
        self._rows[batch][:count].copy_(torch.from_numpy(rows))
        self._rates[:count].copy_(torch.from_numpy(learning_rates))
        self._cursor.zero_()
        one = partial(self._update_at_cursor, self._rows[batch])
        done = 0
        if batch not in self._replays:
            # These are updates like any other.
            done = min(count, WARM_UPDATES)
            self._warm_up(one, done)
            if done == WARM_UPDATES:
                self._replays[batch] = self._recorded(one)
        for _ in range(count - done):
            self._replays[batch]()
        return self._losses[:count]

    def forget(self) -> None:
        """Drop the recordings: they hold the numbers that the knobs had."""
        self._replays.clear()

    def _update_at_cursor(self, rows: Tensor) -> None:
        self._rate.copy_(self._rates.index_select(0, self._cursor).view(()))
        losses = self._update(rows.index_select(0, self._cursor).view(-1), self._rate)
        self._losses.index_copy_(0, self._cursor, torch.stack(losses).view(1, 2))
        self._cursor += 1

    def _recorded(self, one: Callable[[], None]) -> Callable[[], object]:
        try:
            return self._record(one)
        except RuntimeError:
            # A driver or an operation that cannot be recorded: the same updates, launched one kernel at a time.
            return one

    def _warm_up(self, one: Callable[[], None], count: int) -> None:
        """Make updates on a side stream, as CUDA asks for before recording."""
        if self._device != "cuda":
            for _ in range(count):
                one()
            return
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(count):
                one()
        torch.cuda.current_stream().wait_stream(stream)

    def _reserve(self, count: int, batch: int) -> None:
        """Make room for `count` updates; it grows by doubling, since recordings hold its address."""
        if count > len(self._rates):
            room = 1 << (count - 1).bit_length()
            self._rates = torch.zeros(room, device=self._device)
            self._losses = torch.zeros(room, 2, device=self._device)
            self._rows.clear()
            self.forget()
        if batch not in self._rows:
            self._rows[batch] = torch.zeros(len(self._rates), batch, dtype=torch.int32, device=self._device)


def record_graph(update: Callable[[], None]) -> Callable[[], object]:
    """Record one update as a CUDA graph, without making it, and give what replays it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    return graph.replay
