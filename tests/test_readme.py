"""The README says what the program does: its keys, options and presets are the program's own."""

from pathlib import Path

import pytest

from regtui.charts import STRIPS
from regtui.cli.lab import cli
from regtui.cli.options import make_config
from regtui.core.config import fields
from regtui.core.presets import PRESETS
from regtui.tui.keys import LAB_KEYS

README = Path(__file__).parent.parent / "README.md"


def key_table() -> str:
    """Write the keys as the README has them; print it to bring the README up to date."""
    rows = [f"| `{key.key_display or key.key}` | {key.tooltip} |" for key in LAB_KEYS]
    palette = "| `^p` | Open the command palette, where the theme is, too. |"
    return "\n".join(["| key | what it does |", "|---|---|", *rows, palette])


def test_the_keys_are_those_of_the_bindings() -> None:
    assert key_table() in README.read_text()


def strip_table() -> str:
    """Write the strips as the README has them."""
    rows = [f"| {strip.name} | {strip.title} |" for strip in STRIPS.values()]
    return "\n".join(["| strip | what it shows |", "|---|---|", *rows])


def test_the_strips_are_those_that_can_be_shown() -> None:
    assert strip_table() in README.read_text()


def test_every_option_and_every_preset_is_named() -> None:
    text = README.read_text()
    for field in fields().values():
        assert field.option in text
    for preset in PRESETS:
        assert preset in text


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_an_example_that_needs_no_network(preset: str) -> None:
    examples = [
        line.partition("#")[0].split() for line in README.read_text().splitlines() if line.startswith("regtui ")
    ]
    found = [example[1:] for example in examples if ["--preset", preset] == example[1:3]]
    assert found
    for arguments in found:
        with cli.make_context("regtui", arguments) as context:
            assert make_config(context.params).dataset == "digits"


def test_every_picture_is_there() -> None:
    for line in README.read_text().splitlines():
        if line.startswith("!["):
            assert (README.parent / line.split("](")[1].rstrip(")")).is_file()
