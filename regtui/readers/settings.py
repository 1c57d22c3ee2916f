"""Settings beside a log: YAML and JSON files, read within bounds, as data and nothing else."""

import json
from pathlib import Path
from typing import Any

from regtui.readers.bounds import kept

MOST_BYTES = 1 << 20
"""Settings of a training are some kilobytes; a larger file holds something else."""

MOST_NAMES = 500
"""Settings that are kept: a page of them is what a person can compare."""

MOST_MERGED = 50_000
"""Settings that a file may take over from its other parts (`<<: *part`), a hundred times what is kept."""


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings in a file; empty where there are none or they cannot be read.

    YAML is loaded by the safe loader, whose tags make no objects; a tag that it does not know is read as its text.
    A part that a file names again and again (`*part`) is read once, and laid out no further than settings are kept.
    """
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return {}
        text = path.read_text(encoding="utf-8", errors="replace")
        found = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return kept(_named(found)) if isinstance(found, dict) else {}


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError:
        return {}


def _loader() -> Any:
    """Make a safe loader that reads what has an unknown tag as if it had none."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows no tags but those of plain data, and lays out no more of merged parts than there may be."""

        merged = 0

        def flatten_mapping(self, node: Any) -> None:
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        if isinstance(part, yaml.MappingNode):
                            self.flatten_mapping(part)
                            self.merged += len(part.value)
                    if self.merged > MOST_MERGED:
                        raise yaml.YAMLError
            super().flatten_mapping(node)

    def plain(loader: Any, _suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    Loader.add_multi_constructor("", plain)
    return Loader


def _named(found: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in list(found.items())[:MOST_NAMES]}
