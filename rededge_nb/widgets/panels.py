"""What the panels have in common: a thread that asks the server, and words for whatever goes wrong."""

from __future__ import annotations

import atexit
import logging
import queue
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import redis

from rededge_nb.display.tables import Table
from rededge_nb.edge.client import blocking_client, server_errors
from rededge_nb.errors import RedEdgeError
from rededge_nb.live.feed import Feed
from rededge_nb.widgets.words import Level, Words

UPDATE_INTERVAL = 1.0
"""Seconds between two looks at the server."""

Job = Callable[[redis.Redis], None]

_log = logging.getLogger(__name__)


class Panel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A box that shows something of the server, and changes it.

    It looks at the server each second, from a thread of its own, which also does what is asked for in the browser: a
    button never waits for the server. What cannot be done is said in the panel; when the server is away it says so and
    goes on when that is back. `close()` ends the thread, the interpreter's end as well.

    Args:
        client: A client of the server.
        title: Stands above.
        parts: What is shown below that. A subclass calls `begin()` when it has made all that `refresh` needs.
    """

    _ended = True

    def __init__(self, client: redis.Redis, title: str, parts: Sequence[ipywidgets.Widget]) -> None:
        self._client = client
        self._title = title
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._feed = Feed(client, self._step, on_error=self._tell, name=f"rededge {title.lower()} panel")
        self.trouble = Words()
        """What is wrong with the server, while it is."""
        self.words = Words()
        """What became of what was asked for last."""
        self.heading = ipywidgets.HTML(f"<h3>{title}</h3>")
        self.heading.add_class("rededge-heading")
        super().__init__([self.heading, self.trouble, *parts, self.words])
        self.add_class("rededge-panel")

    def refresh(self, client: redis.Redis) -> None:
        """Show what the server has now; runs in the panel's thread."""
        raise NotImplementedError

    def table(self) -> Table:
        """What is shown, for a notebook that is read without a kernel."""
        raise NotImplementedError

    def begin(self) -> None:
        """Show what there is, and go on with that in the thread."""
        try:
            with blocking_client(self._client) as own:
                self.refresh(own)
        except Exception as error:  # noqa: BLE001  shown in the panel, and tried again by its thread
            self._tell(error)
        self._ended = False
        self._feed.start()
        # before the feed's own end, which would wait for the next look
        atexit.register(self._end)

    def ask(self, job: Job) -> None:
        """Have something done by the panel's thread, with its client; what it raises is said in the panel."""
        self._jobs.put(job)

    def say(self, text: str, level: Level = "info") -> None:
        """Show what became of something."""
        self.words.say(text, level)

    def close(self) -> None:
        """End the thread and remove the views; may be called again."""
        self._end()
        for part in _parts(self):
            part.close()
        super().close()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        table = self.table()
        shown = {"text/markdown": table._repr_markdown_(), "text/plain": repr(table)}
        return {**super()._repr_mimebundle_(**options), **shown}

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._jobs.put(None)
        self._feed.close()
        atexit.unregister(self._end)

    def _step(self, client: redis.Redis) -> None:
        try:
            job = self._jobs.get(timeout=UPDATE_INTERVAL)
            while job is not None:
                self._do(job, client)
                job = self._jobs.get_nowait()
        except queue.Empty:
            pass
        if not self._ended:
            self.refresh(client)
            self.trouble.say("")

    def _do(self, job: Job, client: redis.Redis) -> None:
        try:
            with server_errors(client):
                job(client)
        except (RedEdgeError, redis.RedisError) as error:
            self.say(str(error), "error")
        except Exception as error:  # noqa: BLE001  nobody else would say it
            _log.exception("%s panel: a handler failed", self._title)
            self.say(f"{type(error).__name__}: {error}", "error")

    def _tell(self, error: Exception | None) -> None:
        if error is None:
            return
        if not isinstance(error, (RedEdgeError, redis.RedisError)):
            _log.error("%s panel: cannot be updated", self._title, exc_info=error)
        self.trouble.say(f"{error}; trying again", "error")


def row(*parts: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side, which wrap where there is no room."""
    box = ipywidgets.HBox(parts)
    box.add_class("rededge-row")
    return box


def button(text: str, hint: str, on_click: Callable[[], None], style: str = "") -> ipywidgets.Button:
    """A button that calls a function."""
    made = ipywidgets.Button(description=text, tooltip=hint, button_style=style)
    made.on_click(lambda _: on_click())
    return made


def _parts(box: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    found = []
    for part in getattr(box, "children", ()):
        found += [part, *_parts(part)]
    return found
