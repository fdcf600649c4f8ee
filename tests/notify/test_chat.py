"""Apprise, with its own kind of webhook: the message and the attached image arrive."""

from __future__ import annotations

import pytest

from rededge_nb.errors import ConfigurationError
from rededge_nb.notify.chat import Chat
from rededge_nb.notify.configuration import TargetConfig
from rededge_nb.notify.message import message_of
from rededge_nb.notify.targets import FailedError
from rededge_nb.reading.events import Event
from tests.notify.receivers import receiver

EVENT = Event("door", "5-0", "gear_failing", "alarm", 5, reason="it is on fire")


def config(*urls: str) -> TargetConfig:
    return TargetConfig(name="phone", type="apprise", options={"urls": list(urls)})


def test_title_text_and_image_arrive() -> None:
    with receiver() as server:
        chat = Chat(config(f"json://127.0.0.1:{server.port}/"))
        chat.send(message_of([EVENT], config(), b"\xff\xd8 an image"))
        (got,) = server.got
    assert got["title"] == "camera door: gear failing: it is on fire"
    assert "it is on fire" in got["message"]
    assert got["type"] == "failure"
    assert got["attachments"][0]["filename"] == "snapshot.jpg"


def test_a_service_that_does_not_accept_the_message_is_tried_again() -> None:
    with receiver() as server:
        server.answers = [500] * 20
        with pytest.raises(FailedError, match="has not accepted"):
            Chat(config(f"json://127.0.0.1:{server.port}/")).send(message_of([EVENT], config()))


def test_an_address_that_apprise_does_not_know_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError, match=r"urls\[0\]") as caught:
        Chat(config("nosuchservice://secret"))
    assert "secret" not in str(caught.value)
