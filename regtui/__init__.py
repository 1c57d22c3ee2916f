"""A terminal lab and monitor for training neural networks."""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "RunConfig": "regtui.core.config",
    "ConfigError": "regtui.core.config",
    "History": "regtui.core.history",
    "open_log": "regtui.readers",
    "record": "regtui.recording",
    "train": "regtui.loop",
}
"""Public names and the modules that hold them; each is imported when it is first asked for."""

__all__ = ["ConfigError", "History", "RunConfig", "__version__", "open_log", "record", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import regtui` loads nothing heavy."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'regtui' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
