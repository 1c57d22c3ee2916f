"""Data sets of one's own, by the ending of their files. Nothing is ever unpickled; every error names the file."""

from pathlib import Path

from regtui.datasets.commas import read_csv
from regtui.datasets.npz import read_npz
from regtui.datasets.table import Table

SUFFIXES = (".npz", ".csv")


def read(path: Path) -> Table:
    """Read a data set from an .npz or .csv file; raises ConfigError saying what is wrong with it, and where."""
    return read_csv(path) if path.suffix.lower() == ".csv" else read_npz(path)
