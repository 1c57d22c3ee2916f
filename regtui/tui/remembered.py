"""What is kept from one session to the next: the choice of colours, in the user's configuration folder."""

import json
import os
from contextlib import suppress
from pathlib import Path

from regtui.folders import make_folders, write_whole
from regtui.tui.theme import CHOICES


def settings_file() -> Path:
    """Say where it is kept, by the XDG base directory rules: a folder that is not absolute is none."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (folder if folder.is_absolute() else Path("~/.config").expanduser()) / "regtui" / "settings.json"


def remembered_theme() -> str | None:
    """Give the choice that was made last; None where there is none, or nothing that can be understood."""
    try:
        theme = json.loads(settings_file().read_text(encoding="utf-8"))["theme"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return theme if theme in CHOICES else None


def remember_theme(choice: str) -> None:
    """Keep a choice; a folder that cannot be written only means that it is asked for again."""
    with suppress(OSError, RuntimeError):
        file = settings_file()
        make_folders(file.parent)
        write_whole(file, json.dumps({"theme": choice}).encode())
