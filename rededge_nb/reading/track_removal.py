"""Removing people from the stream of those who have left a camera's view (`camera:<id>:tracks`)."""

from __future__ import annotations

from collections.abc import Callable

import redis

from rededge_nb import schema, streams
from rededge_nb.edge.client import server_errors

_PAGE = 1000


class TrackRemoval:
    """Removes people from the stream of a camera, in several steps: each looks at what was added meanwhile, too."""

    def __init__(self, client: redis.Redis, camera: object) -> None:
        self._client = client
        self._key = schema.tracks_key(camera)
        self._last_seen: dict[str, int] = {}
        """When the people were last seen, by entry id, of the entries that were read and not removed."""
        self._read_up_to = "0-0"

    def remove(self, is_wanted: Callable[[int], bool]) -> None:
        """Remove the people who were last seen at a time for which a function says so."""
        while page := streams.entries(self._client, self._key, start=f"({self._read_up_to}", count=_PAGE):
            self._read_up_to = page[-1][0]
            self._last_seen |= {entry_id: streams.number(fields, schema.LAST, 0) for entry_id, fields in page}
        removed = [entry_id for entry_id, last_ms in self._last_seen.items() if is_wanted(last_ms)]
        for entry_id in removed:
            del self._last_seen[entry_id]
        if removed:
            with server_errors(self._client):
                self._client.xdel(self._key, *removed)
