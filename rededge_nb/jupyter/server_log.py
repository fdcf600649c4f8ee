"""What the log of `rededge lab` leaves out: people must see the messages that are for them."""

from __future__ import annotations

import logging

from tornado.websocket import WebSocketClosedError

LOGGING_CONFIG = {
    "filters": {"closed_tabs": {"()": f"{__name__}.NotOfClosedTabs"}},
    "loggers": {name: {"filters": ["closed_tabs"]} for name in ("asyncio", "tornado.application", "tornado.general")},
}
"""A value for the setting `ServerApp.logging_config`."""


class NotOfClosedTabs(logging.Filter):
    """Leaves out the traceback of each message that arrives for a tab of the browser that has just been closed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record."""
        return not (record.exc_info and isinstance(record.exc_info[1], WebSocketClosedError))
