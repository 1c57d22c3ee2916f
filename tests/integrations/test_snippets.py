"""The examples of the integrations run as they stand, and nothing loads a framework that nobody asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.conftest import Recorded, only_log

HOME = Path(__file__).parents[2]
SNIPPETS = Path(__file__).parents[1] / "snippets"
PARTNERS = {"keras": "tensorflow", "lightning": "lightning", "transformers": "accelerate", "accelerate": "accelerate"}
"""Integration -> what its framework cannot do without."""
FRAMEWORKS = {"keras", "tensorflow", "torch", "lightning", "pytorch_lightning", "transformers", "accelerate"}


@pytest.mark.parametrize("name", PARTNERS)
def test_an_example_runs_as_it_stands_and_its_run_is_recorded(name, tmp_path):
    pytest.importorskip(name, reason=f"{name} is not installed")
    pytest.importorskip(PARTNERS[name], reason=f"{PARTNERS[name]} is not installed")
    exec(compile((SNIPPETS / f"{name}.py").read_text(), f"{name}.py", "exec"), {"__name__": "__main__"})
    found = Recorded(only_log(tmp_path / "runs"))
    assert found.run.trainer == name
    assert found.end.status == "finished"
    assert found.steps != []
    measured = [*found.epochs, *found.evaluations]
    assert measured != []
    assert all("loss" in each.valid for each in measured)


def test_the_package_loads_no_framework():
    said = "import sys, regtui, regtui.recording; print(*sys.modules)"
    environment = {"PYTHONPATH": str(HOME), "PATH": ""}
    found = subprocess.run([sys.executable, "-c", said], env=environment, capture_output=True, text=True, check=True)
    assert FRAMEWORKS & set(found.stdout.split()) == set()


@pytest.mark.parametrize("path", sorted((HOME / "regtui" / "integrations").glob("*.py")), ids=lambda path: path.stem)
def test_a_framework_is_imported_by_its_own_integration_only(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
    own = {"keras": {"keras", "tensorflow"}, "lightning": {"lightning", "pytorch_lightning"}}
    assert imported & FRAMEWORKS == own.get(path.stem, {path.stem} & FRAMEWORKS)


@pytest.mark.parametrize("name", PARTNERS)
def test_the_readme_shows_each_example_as_it_is_run(name):
    assert f"```python\n{(SNIPPETS / f'{name}.py').read_text()}```" in (HOME / "README.md").read_text()
