"""What a process has loaded: once for each content, however many keys and threads use it.

A thing is freed when no key that was used holds it any more, or when others were used more recently and the cache is
full.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Holder = tuple[int, bytes]
"""A database's number and a key in it."""


@dataclass(frozen=True)
class Identity:
    """What makes two models, or two scripts, the same."""

    backend: str
    """Upper case; `SCRIPT` for a script."""
    device: str
    """Upper case; every CPU is `CPU`."""
    digest: str
    """Of the blob or source."""
    inputs: tuple[str, ...] = ()
    """Names that the loading depends on; only a TF graph's does."""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Loaded:
    thing: Any
    size: int
    memory: int


class Cache:
    """Loaded models and scripts; safe to use from any thread.

    Args:
        capacity: bytes of the blobs that are kept; the thing used last is kept whatever its size.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        # one load at a time: each takes all cores anyway, and nothing is loaded twice
        self._loading = threading.Lock()
        self._loaded: OrderedDict[Identity, _Loaded] = OrderedDict()
        self._holders: dict[Holder, Identity] = {}

    def find(self, identity: Identity) -> Any | None:
        """What is loaded under that identity, if it is."""
        with self._lock:
            loaded = self._loaded.get(identity)
            if loaded is None:
                return None
            self._loaded.move_to_end(identity)
            return loaded.thing

    def load(self, identity: Identity, size: int, load: Callable[[], Any]) -> Any:
        """What is loaded under that identity; if nothing is, what `load` returns, made from a blob of `size` bytes."""
        with self._loading:
            thing = self.find(identity)
            if thing is not None:
                return thing
            before = _resident_memory()
            thing = load()
            memory = max(size, _resident_memory() - before)
            with self._lock:
                self._loaded[identity] = _Loaded(thing, size, memory)
                self._make_room()
            return thing

    def hold(self, holder: Holder, identity: Identity) -> None:
        """Keep a thing for a key, instead of the one that the key held before."""
        with self._lock:
            before = self._holders.get(holder)
            self._holders[holder] = identity
            if before not in (None, identity):
                self._free_unheld()

    def holders(self) -> dict[Holder, Identity]:
        """The keys that things are kept for."""
        with self._lock:
            return dict(self._holders)

    def release(self, gone: Mapping[Holder, Identity]) -> None:
        """Free what only these keys held, unless one of them was used anew and holds another thing by now."""
        with self._lock:
            for holder, identity in gone.items():
                if self._holders.get(holder) == identity:
                    del self._holders[holder]
            self._free_unheld()

    def memory(self, identity: Identity) -> int:
        """Bytes that a thing takes: by how much loading it made the process grow, and the blob's size at least."""
        with self._lock:
            loaded = self._loaded.get(identity)
            return loaded.memory if loaded is not None else 0

    def _free_unheld(self) -> None:
        held = set(self._holders.values())
        for identity in [identity for identity in self._loaded if identity not in held]:
            del self._loaded[identity]

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and sum(loaded.size for loaded in self._loaded.values()) > self._capacity:
            self._loaded.popitem(last=False)


def _resident_memory() -> int:
    """Bytes of this process in memory, 0 where that is not told."""
    if not sys.platform.startswith("linux"):
        return 0
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
