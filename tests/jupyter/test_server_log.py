"""The terminal of `rededge lab` has no tracebacks of closed tabs, and all others."""

from __future__ import annotations

import asyncio
import logging
import logging.config

import pytest
from tornado.websocket import WebSocketClosedError

from rededge_nb.jupyter.server_log import LOGGING_CONFIG


@pytest.mark.parametrize(("error", "written"), [(WebSocketClosedError(), 0), (ValueError("wrong"), 1)])
def test_messages_for_closed_tabs_are_left_out(
    error: Exception, written: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [])
    # as traitlets applies it
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **LOGGING_CONFIG})

    async def send_to_a_closed_tab() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "Exception in callback", "exception": error})

    asyncio.run(send_to_a_closed_tab())
    assert len(caplog.records) == written
