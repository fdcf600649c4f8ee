"""When a camera counts another class than before: its series with the counts of the old class are set aside.

Cars must not be added to the people that crossed a line. So the series of lines and zones, of those seen, and `count`
get another name, with all their data: `camera:0:seen` becomes `camera:0:was:person:seen`, with the label `class` and
`__name__` `was_seen`. Those of the new class are given their names back if it was counted before. The series `people`
keeps its name, because nothing else is ever counted in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from rededge_nb.analytics.counted import CLASS, PERSON
from rededge_nb.analytics.samples import OF_CLASS
from rededge_nb.analytics.scene_series import Command

_WAS: Final = "was"
_OF_SCENE: Final = ("line", "zone")


def keys_that_change(camera_key: str, keys: Iterable[str], old: str, new: str) -> dict[str, str]:
    """The keys of series that get another name, with that name: first those of the old class, then those of the new.

    Args:
        camera_key: Key of the camera's frames.
        keys: Keys of all its series.
        old: The class that was counted.
        new: The class that is counted now.
    """
    names = [key.removeprefix(f"{camera_key}:") for key in sorted(keys) if key.startswith(f"{camera_key}:")]
    present = [name for name in names if name.split(":")[0] in (*OF_CLASS, *_OF_SCENE)]
    old_place, new_place = _place(old), _place(new)
    returning = [name.removeprefix(new_place) for name in names if name.startswith(new_place)]
    return {f"{camera_key}:{name}": f"{camera_key}:{old_place}{name}" for name in present} | {
        f"{camera_key}:{new_place}{name}": f"{camera_key}:{name}" for name in returning
    }


def rename_commands(key: str, to: str, labels: Mapping[str, str], old: str) -> tuple[Command, ...]:
    """The commands that give a series another name; rules and data stay.

    Args:
        key: Its key.
        to: Another one, from `keys_that_change`.
        labels: Its labels.
        old: The class that was counted.
    """
    name = labels["__name__"]
    if f":{_WAS}:" in key:
        changed = {**labels, "__name__": name.removeprefix(f"{_WAS}_")}
        if changed.get(CLASS) == PERSON:
            del changed[CLASS]
    else:
        changed = {**labels, "__name__": f"{_WAS}_{name}", CLASS: old}
    words = [word for pair in changed.items() for word in pair]
    return ("RENAME", key, to), ("TS.ALTER", to, "LABELS", *words)


def _place(name: str) -> str:
    """How the names of series begin that were set aside: no spaces or colons are in the name of the class."""
    word = re.sub(r"[^\w.+-]", "_", name)
    return f"{_WAS}:{word}:"
