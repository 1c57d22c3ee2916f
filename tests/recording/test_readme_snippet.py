"""The snippet of the README's section for own loops runs as it stands."""

import math
from pathlib import Path

import pytest

from regtui import History, open_log
from regtui.analysis import verdict

README = Path(__file__).parents[2] / "README.md"


def snippet() -> str:
    """Give the first block of Python in the section `In three lines`."""
    _, found, section = README.read_text().partition("## In three lines\n")
    if not found:
        pytest.skip("README.md has no section 'In three lines'")
    return section.partition("```python\n")[2].partition("```")[0]


def test_the_loop_in_the_readme_is_recorded_as_it_stands(tmp_path, monkeypatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.chdir(tmp_path)
    code = snippet()
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    history = History()
    history.apply(open_log(tmp_path / "runs").poll())
    assert (history.status, len(history.evaluations), len(history.steps)) == ("finished", 20, 160)
    assert history.run is not None
    assert "knob" in history.run.listens
    assert history.steps["learning_rate"].last == 0.01
    assert history.evaluations["train/loss"].last < math.log(3) < history.evaluations["valid/loss"].last
    # Its labels are chance: there is nothing to learn but the training rows.
    assert verdict(history).state == "overfitting"
