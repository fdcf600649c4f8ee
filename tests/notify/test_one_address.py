"""What one address means, and that no text shows its secrets."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import pytest

from rededge_nb.errors import ConfigurationError
from rededge_nb.notify import delivery
from rededge_nb.notify.notifier import check_targets
from rededge_nb.notify.one_address import config_of_address, shown_target
from rededge_nb.pipeline.run_end import NOT_SENT, EndMessage
from tests.notify.receivers import receiver

SECRET = "wxyz-secret"
END = {"outcome": "failed", "error": "a cell failed", "seconds": 1.5}


@pytest.mark.parametrize(
    ("address", "kind", "options"),
    [
        ("https://example.org/hook?x=1", "webhook", {"url": "https://example.org/hook?x=1", "secret": "key"}),
        ("mqtt://broker", "mqtt", {"host": "broker", "port": 1883, "tls": False, "user": "", "prefix": "rededge"}),
        (
            "mqtts://me:p%40ss@broker:8884/house/edge",
            "mqtt",
            {"port": 8884, "tls": True, "user": "me", "password": "p@ss", "prefix": "house/edge"},
        ),
        ("ntfys://ntfy.sh/topic", "apprise", {"urls": ["ntfys://ntfy.sh/topic"]}),
    ],
)
def test_the_scheme_chooses_the_kind_of_the_target(address: str, kind: str, options: dict[str, Any]) -> None:
    config = config_of_address(address, secret="key")
    [target] = config.targets
    assert (target.type, {name: target.options[name] for name in options}) == (kind, options)
    check_targets(config)


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", SECRET)
    [target] = config_of_address("https://example.org/${TOKEN_OF_TEST}").targets
    assert target.options["url"] == f"https://example.org/{SECRET}"
    with pytest.raises(ConfigurationError, match=r"https://example.org/… .*refers to \$\{NO_SUCH_TOKEN\}"):
        config_of_address("https://example.org/${NO_SUCH_TOKEN}")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"https://hooks.example.org/services/T0/{SECRET}", "https://hooks.example.org/…"),
        (f"https://{SECRET}:{SECRET}@example.org:8443", "https://example.org:8443"),
        (f"https://[::1]:80/?key={SECRET}", "https://[::1]:80"),
        (f"mqtt://me:{SECRET}@broker", "mqtt://broker"),
        (f"https://me:{SECRET}/x@example.org", "https://…"),
        (f"https://me:{SECRET}#x@example.org", "https://…"),
        (f"slack://{SECRET}/b/c", "slack://…"),
        (SECRET, "…"),
    ],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str) -> None:
    assert shown_target(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        SECRET,
        f"https://me:{SECRET}/x@example.org",
        f"https://:80/{SECRET}",
        f"mqtt://me:{SECRET}@broker:x",
        f"nosuch://{SECRET}",
        f"https://exa\x01mple.org/{SECRET}",
        f"https://example.org/{SECRET}{{what}}/${{",
    ],
)
def test_no_message_about_an_address_quotes_it(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.suppress(ConfigurationError):
        EndMessage(address).send(END, "20260101-000000Z", tries=1)
        assert NOT_SENT in caplog.text
    try:
        EndMessage(address)
    except ConfigurationError as error:
        said = str(error)
    else:
        said = ""
    # Apprise's log goes nowhere; pytest records it all the same
    said += "".join(each.getMessage() for each in caplog.records if each.name != "apprise")
    assert said
    assert SECRET not in said


def test_a_message_that_is_not_sent_is_said_and_nothing_else_happens(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FIRST_DELAY", 0.01)
    with receiver() as server:
        server.answers = [503] * 4 + [403]
        with caplog.at_level(logging.DEBUG):
            EndMessage(f"{server.url}/{SECRET}?key={SECRET}").send(END, "20260101-000000Z")
        assert len(server.tried) == 5
        assert not server.got
    assert f"{NOT_SENT} to http://127.0.0.1:{server.port}/…: the receiver answers 403" in caplog.text
    assert SECRET not in caplog.text


def test_a_run_that_has_succeeded_is_a_message_only_if_it_is_asked_for() -> None:
    done = {"outcome": "done", "error": None, "seconds": 1.5}
    with receiver() as server:
        EndMessage(server.url).send(done, "20260101-000000Z")
        assert not server.tried
        EndMessage(server.url, "always").send(done, "20260101-000000Z")
        [message] = server.got
        assert message["title"] == "run 20260101-000000Z: done after 2 s"
    with pytest.raises(ConfigurationError, match="on failure or always, not on 'never'"):
        EndMessage(server.url, "never")


def test_an_error_before_the_first_attempt_is_a_message_and_goes_on() -> None:
    with receiver() as server, pytest.raises(ConfigurationError), EndMessage(server.url).of_errors():
        raise ConfigurationError("there is no notebook\nof this name")
    [message] = server.got
    assert message["title"] == "run: failed after 0 s: there is no notebook"
    assert message["event"]["reason"] == "there is no notebook\nof this name"
