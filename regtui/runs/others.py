"""The logs of other trainers in a folder of runs, and those of ours that lie deeper."""

import os
from collections.abc import Iterable
from pathlib import Path

from regtui.readers import LOG_NAME, logs_under
from regtui.runs import Found
from regtui.runs.status import status_of


def others_in(runs_dir: Path, own: Iterable[Found]) -> list[Found]:
    """Look for logs of any format under a folder beside those of its own runs; by their names, none is opened.

    A folder that holds its own runs and nothing else, as most do, is not searched.
    """
    names = {each.name for each in own}
    try:
        with os.scandir(runs_dir) as entries:
            if all(entry.name in names or entry.name.startswith(".") for entry in entries):
                return []
    except (OSError, ValueError):
        return []
    found = []
    for path in logs_under(runs_dir):
        place = path.relative_to(runs_dir)
        if place.parts and place.parts[0] in names:
            continue
        ours = path.name == LOG_NAME
        place = place.parent if ours else place
        name = str(place) if place.parts else runs_dir.resolve().name
        try:
            found.append(Found(name, path, status_of(path), sure=ours))
        except OSError:
            continue
    return found
