"""Settings beside a log: as much of them as can be shown, whatever a file multiplies."""

import itertools
import time
from collections.abc import Iterable, Mapping

import pytest

from regtui.core.events import RunStarted
from regtui.readers import open_log
from regtui.readers.bounds import DEEPEST, MOST_VALUES, bounded
from regtui.readers.settings import read_settings

LEVELS = "abcdefghi"
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise(LEVELS)
)
"""Nine names of nine times the one before: half a kilobyte, a third of a milliard values."""

MERGED = f"a: &a {{{', '.join(f'k{number}: 0' for number in range(3_000))}}}\nb: [{', '.join(['{<<: *a}'] * 3_000)}]\n"
"""Three thousand copies of three thousand settings."""

PAIRS = ALIASES + "pairs: !!pairs [k: *i, k: *i]\n"


def values_in(value: object) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(values_in, value.values()))
    return 1 + sum(map(values_in, value)) if isinstance(value, Iterable) and not isinstance(value, str) else 1


@pytest.mark.parametrize("text", [ALIASES, MERGED, PAIRS], ids=["aliases", "merged", "pairs"])
def test_a_file_that_multiplies_its_parts_is_laid_out_no_further_than_settings_are_kept(text, tmp_path):
    (tmp_path / "hparams.yaml").write_text(text)
    assert values_in(read_settings(tmp_path / "hparams.yaml")) <= MOST_VALUES


@pytest.mark.parametrize("text", [ALIASES, MERGED], ids=["aliases", "merged"])
def test_a_log_beside_such_a_file_is_opened_in_the_time_of_any_other(text, tmp_path):
    (tmp_path / "hparams.yaml").write_text(text)
    (tmp_path / "metrics.csv").write_text("epoch,step,train_loss\n0,9,0.5\n")
    before = time.process_time()
    run = open_log(tmp_path / "metrics.csv").poll()[0]
    assert time.process_time() - before < 3  # some hundredths where nothing else runs; without bounds, minutes
    assert isinstance(run, RunStarted)
    assert values_in(run.settings) <= MOST_VALUES + 1


def test_settings_that_are_merged_from_other_parts_are_read(tmp_path):
    path = tmp_path / "hparams.yaml"
    path.write_text("base: &base {lr: 0.1, layers: [4, 5]}\nmodel: {<<: *base, lr: 0.2}\ntags: !!set {a, b}\n")
    found = read_settings(path)
    assert (found["model"], found["tags"]) == ({"lr": 0.2, "layers": [4, 5]}, {"a", "b"})


def test_tuples_and_sets_of_settings_are_kept_within_the_same_bounds():
    deep: object = "x"
    for _ in range(2 * DEEPEST):
        deep = (deep, deep)
    kept = bounded(RunStarted(run_id="a", settings={"deep": deep, "some": frozenset(range(3))})).settings
    assert values_in(kept["deep"]) <= 2**DEEPEST
    assert bounded(RunStarted(run_id="a", settings={"some": frozenset({1, 2})})).settings == {"some": frozenset({1, 2})}
