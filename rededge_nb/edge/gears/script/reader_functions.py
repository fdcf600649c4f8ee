"""Functions that RedisGears' own readers consist of. Programs use them as functions for PythonReader."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rededge_nb.edge.gears.chain.readers import SCAN_COUNT, scan_keys
from rededge_nb.edge.gears.runtime.context import current
from rededge_nb.edge.gears.runtime.values import text_or_bytes


def shard_reader_callback() -> Iterator[str]:
    """The records of ShardsIDReader: the id of this shard, which is 1 because there is only one."""
    yield "1"


def create_keys_only_reader(
    pattern: str = "*",
    count: int = SCAN_COUNT,
    noScan: bool = False,  # noqa: N803 - RedisGears' name
    patternGenerator: Callable[[], tuple[str, bool]] | None = None,  # noqa: N803
) -> Callable[[], Iterator[str | bytearray]]:
    """A function that yields the names of keys, as KeysOnlyReader does.

    Args:
        pattern: Which keys, as for SCAN.
        count: How many keys Redis looks at in one step.
        noScan: Whether `pattern` is the name of one key.
        patternGenerator: Returns `pattern` and `noScan` in their place.
    """

    def keys_only_reader() -> Iterator[str | bytearray]:
        wanted, exact = (pattern, noScan) if patternGenerator is None else patternGenerator()
        send = current().command
        if not exact:
            yield from map(text_or_bytes, scan_keys(send, wanted, count))
        elif send("EXISTS", wanted):
            yield wanted

    return keys_only_reader
