"""What all panels have in common: a thread that talks to the server, and texts that say what happened.

A button must not wait for the server: the kernel would stand still while the server is away. So a click only puts a
job into a queue; the panel's thread does it, and shows its result or error in the panel.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import redis

from rededge_nb.display.tables import Table
from rededge_nb.edge.client import blocking_client, server_errors
from rededge_nb.errors import RedEdgeError
from rededge_nb.live.feed import Feed
from rededge_nb.widgets.presence import Presence
from rededge_nb.widgets.snapshot import Bundle, CellOutput
from rededge_nb.widgets.status_text import Level, StatusText

UPDATE_INTERVAL = 1.0
"""Seconds between two updates from the server."""
HEARTBEAT = 2.0
"""Longest time in seconds between two messages to a page that shows a panel."""

Job = Callable[[redis.Redis], None]

_log = logging.getLogger(__name__)


class Panel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A box that shows a part of the server's state, and changes it.

    Its thread reads the state once a second and does the jobs that the buttons ask for. Errors are shown in the panel.
    While the server is away the panel says so, and it continues when the server is back. `close()` ends the thread, and
    so does the end of the interpreter.

    Args:
        client: A client of the server.
        title: Heading.
        parts: Widgets below the heading. A subclass calls `start_updates()` once all that `refresh` needs exists.

    Attributes:
        connection_error: What is wrong with the server, while something is.
        message: Result or error of the last job.
        presence: Whether a page shows the panel. If none does any more, nothing is read and sent until one is back.
    """

    _ended = True

    def __init__(self, client: redis.Redis, title: str, parts: Sequence[ipywidgets.Widget]) -> None:
        self._client = client
        self._title = title
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._feed = Feed(client, self._step, on_error=self._show_error, name=f"rededge {title.lower()} panel")
        # a thread of its own: the panel's thread may wait for the server for a long time
        self._heart = threading.Thread(target=self._beat, name=f"rededge {title.lower()} panel heartbeat", daemon=True)
        self._stop_heart = threading.Event()
        self.presence = Presence()
        self.connection_error = StatusText(self._on_page, heartbeat=HEARTBEAT)
        self.message = StatusText()
        self.heading = ipywidgets.HTML(f"<h3>{title}</h3>")
        self.heading.add_class("rededge-heading")
        super().__init__([self.heading, self.connection_error, *parts, self.message])
        self.add_class("rededge-panel")
        self._output = CellOutput(self, self.snapshot)

    def refresh(self, client: redis.Redis) -> None:
        """Show the present state; runs in the panel's thread."""
        raise NotImplementedError

    def table(self) -> Table:
        """The state as a table, for a notebook that is read without a kernel."""
        raise NotImplementedError

    def start_updates(self) -> None:
        """Show the present state, and start the thread that keeps it up to date."""
        try:
            with blocking_client(self._client) as own:
                self.refresh(own)
        except Exception as error:  # noqa: BLE001  shown in the panel, and its thread tries again
            self._show_error(error)
        self._ended = False
        self._feed.start()
        self._heart.start()
        # must run before the feed's own exit handler, which would wait for the next update
        atexit.register(self._end)

    def submit(self, job: Job) -> None:
        """Let the panel's thread do a job with its client; the panel shows what it raises."""
        self._jobs.put(job)

    def show_message(self, text: str, level: Level = "info") -> None:
        """Show the result of a job."""
        self.message.show(text, level)

    def snapshot(self) -> Bundle:
        """What is shown where the widget is not, as in a saved notebook or a report."""
        table = self.table()
        return {"text/markdown": table._repr_markdown_(), "text/plain": repr(table)}

    def close(self) -> None:
        """End the thread and the widgets. Where the panel was shown, its table stays. May be called again."""
        self.leave_snapshot()
        self._end()
        for part in _parts(self):
            part.close()
        super().close()

    def leave_snapshot(self) -> None:
        """Show the snapshot where the panel was displayed; `close` calls this first."""
        self._output.replace()

    def _ipython_display_(self) -> None:
        self._output.display()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._stop_heart.set()
        self._jobs.put(None)
        self._feed.close()
        self._heart.join()
        atexit.unregister(self._end)

    def _beat(self) -> None:
        while not self._stop_heart.wait(HEARTBEAT):
            # a panel that is a part of another one has no heartbeat of its own
            if self.connection_error.heartbeat and not self.presence.absent:
                self.presence.wait(HEARTBEAT)
                self.connection_error.alive()

    def _on_page(self) -> None:
        """A page has reported that it is there."""
        back = self.presence.absent
        self.presence.hear()
        if back:
            self.resume()

    def resume(self) -> None:
        """Show the present state at once to a page that is back."""
        self.submit(lambda _: None)

    def _step(self, client: redis.Redis) -> None:
        try:
            job = self._jobs.get(timeout=UPDATE_INTERVAL)
            while job is not None:
                self._run(job, client)
                job = self._jobs.get_nowait()
        except queue.Empty:
            pass
        if not self._ended and not self.presence.absent:
            self.refresh(client)
            self.connection_error.show("")

    def _run(self, job: Job, client: redis.Redis) -> None:
        try:
            with server_errors(client):
                job(client)
        except (RedEdgeError, redis.RedisError) as error:
            self.show_message(str(error), "error")
        except Exception as error:  # noqa: BLE001  nobody else would show it
            _log.exception("%s panel: a job failed", self._title)
            self.show_message(f"{type(error).__name__}: {error}", "error")

    def _show_error(self, error: Exception | None) -> None:
        if error is None:
            return
        if not isinstance(error, (RedEdgeError, redis.RedisError)):
            _log.error("%s panel: cannot be updated", self._title, exc_info=error)
        self.connection_error.show(f"{error}; trying again", "error")


def row(*parts: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side; they wrap where the space is narrow."""
    box = ipywidgets.HBox(parts)
    box.add_class("rededge-row")
    return box


def named(control: ipywidgets.Widget, name: str) -> ipywidgets.Widget:
    """Give a control a label that screen readers announce, without taking space for it."""
    control.description = name
    control.add_class("rededge-unlabelled")
    return control


def on_enter(control: ipywidgets.Widget, action: Callable[[], None]) -> None:
    """Call a function when Enter is pressed in a text field."""

    def receive(_control: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("event") == "submit":
            action()

    control.on_msg(receive)


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
