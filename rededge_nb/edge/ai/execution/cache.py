"""The cache of loaded models and compiled scripts: each content is loaded once, however many keys and threads use it.

An item is freed when no key holds it any more, or when the cache is full and other items were used more recently.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rededge_nb.edge.processes import resident_memory

Holder = tuple[int, bytes]
"""A key that uses an item: the number of its database, and its name."""


@dataclass(frozen=True)
class Identity:
    """Everything on which loading a model or compiling a script depends. Equal identities share one item."""

    backend: str
    """Upper case; `SCRIPT` for a script."""
    device: str
    """Upper case; every CPU is `CPU`."""
    digest: str
    """SHA-256 of the model or source."""
    inputs: tuple[str, ...] = ()
    """Names of the inputs. Only for TF: other models contain the names."""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Item:
    value: Any
    size: int
    memory: int


class Cache:
    """Loaded models and compiled scripts; safe to use from any thread.

    Args:
        capacity: Bytes of the model files and sources that are kept; the item used last is kept whatever its size.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        # One load at a time: each uses all processors anyway, and so nothing is loaded twice.
        self._loading = threading.Lock()
        self._items: OrderedDict[Identity, _Item] = OrderedDict()
        self._holders: dict[Holder, Identity] = {}

    def find(self, identity: Identity) -> Any | None:
        """The item with that identity, or None if it is not loaded."""
        with self._lock:
            item = self._items.get(identity)
            if item is None:
                return None
            self._items.move_to_end(identity)
            return item.value

    def load(self, identity: Identity, size: int, load: Callable[[], Any]) -> Any:
        """The item with that identity. If it is not loaded, `load` makes it from a file of `size` bytes."""
        with self._loading:
            value = self.find(identity)
            if value is not None:
                return value
            before = resident_memory()
            value = load()
            memory = max(size, resident_memory() - before)
            with self._lock:
                self._items[identity] = _Item(value, size, memory)
                self._evict()
            return value

    def hold(self, holder: Holder, identity: Identity) -> None:
        """Keep an item for a key, in place of the item that it held before."""
        with self._lock:
            before = self._holders.get(holder)
            self._holders[holder] = identity
            if before not in (None, identity):
                self._free_unheld()

    def holders(self) -> dict[Holder, Identity]:
        """The keys for which items are kept."""
        with self._lock:
            return dict(self._holders)

    def release(self, gone: Mapping[Holder, Identity]) -> None:
        """Free the items that only these keys held, except if a key holds another item by now."""
        with self._lock:
            for holder, identity in gone.items():
                if self._holders.get(holder) == identity:
                    del self._holders[holder]
            self._free_unheld()

    def memory(self, identity: Identity) -> int:
        """Bytes by which the process grew when the item was loaded, at least the size of its file; 0 if not loaded."""
        with self._lock:
            item = self._items.get(identity)
            return item.memory if item is not None else 0

    def _free_unheld(self) -> None:
        held = set(self._holders.values())
        for identity in [identity for identity in self._items if identity not in held]:
            del self._items[identity]

    def _evict(self) -> None:
        while len(self._items) > 1 and sum(item.size for item in self._items.values()) > self._capacity:
            self._items.popitem(last=False)
