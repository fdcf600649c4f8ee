"""notify.yaml: what is refused, which events a target gets, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rededge_nb.errors import ConfigurationError
from rededge_nb.notify.configuration import fill, parse_config, read_config
from rededge_nb.reading.events import Event

FILE = """
targets:
  - name: office
    type: webhook
    url: https://user:${PASSWORD}@example.org/hook?token=t0ken
    secret: ${SECRET}
    kinds: [alarm_raised]
    cameras: [door, 7]
  - {name: home, type: mqtt, host: broker.local, home_assistant: true}
  - {name: phone, type: apprise, urls: ["ntfys://ntfy.sh/topic-of-mine"], severity: info, give_up_after: 60}
"""


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "pass-of-test")
    monkeypatch.setenv("SECRET", "secret-of-test")


def test_a_file_is_read_with_variables_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text(FILE)
    config = read_config(path)
    office, home, phone = config.targets
    assert office.options["url"] == "https://user:pass-of-test@example.org/hook?token=t0ken"
    assert office.cameras == ("door", "7")
    assert home.options["port"] == 1883
    assert home.options["home_assistant"] == "homeassistant"
    assert (home.snapshot, phone.snapshot, phone.give_up_after) == (False, True, 60)


def test_secrets_are_hidden(tmp_path: Path) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text(FILE)
    config = read_config(path)
    text = config.without_secrets("pass-of-test secret-of-test t0ken ntfys://ntfy.sh/topic-of-mine; no answer")
    assert text == "*** *** *** ***; no answer"
    assert not any(secret in repr(config) for secret in ("pass-of-test", "secret-of-test", "t0ken", "topic-of-mine"))


WEBHOOK = {"name": "a", "type": "webhook", "url": "http://example.org"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"name": "a", "type": "webhok", "url": "x"}, 'targets[0].type: "webhok" is unknown; did you mean "webhook"?'),
        ({**WEBHOOK, "url": "example.org"}, "targets[0].url: must begin with http:// or https://"),
        ({**WEBHOOK, "topic": "x"}, 'targets[0]: unknown field "topic"'),
        ({**WEBHOOK, "secret": "${NOBODY_HAS_SET_THIS}"}, "targets[0].secret: refers to ${NOBODY_HAS_SET_THIS}"),
        ({**WEBHOOK, "title": "{camara}"}, 'targets[0].title: has the unknown field {camara}; did you mean "camera"?'),
        ({**WEBHOOK, "severity": "bad"}, "targets[0].severity"),
        ({**WEBHOOK, "kinds": ["line_crosed"]}, 'kinds[0]: "line_crosed" is unknown; did you mean "line_crossed"?'),
        ({**WEBHOOK, "timeout": 0}, "targets[0].timeout: is 0, must be from 0.1"),
        ({**WEBHOOK, "cameras": ["a b"]}, "targets[0].cameras[0]"),
        ({"name": "a", "type": "mqtt", "host": "x", "port": 70000}, "targets[0].port"),
        ({"name": "a", "type": "apprise", "urls": []}, "targets[0].urls: the list is empty"),
        ({"type": "webhook", "url": "http://example.org"}, "targets[0]"),
    ],
)
def test_a_mistake_names_the_field(target: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"targets": [target]})
    assert message in str(caught.value)


def test_names_are_unique_and_there_is_a_target() -> None:
    with pytest.raises(ConfigurationError, match=r'targets\[1\].name: "a" is the name of another target'):
        parse_config({"targets": [WEBHOOK, WEBHOOK]})
    with pytest.raises(ConfigurationError, match="targets: the list is empty"):
        parse_config({"targets": []})


@pytest.mark.parametrize("text", ["a: [", "targets: {", "targets: [*x]"])
def test_what_is_not_yaml_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "notify.yaml").write_text(f"# pass-of-test\n{text}")
    with pytest.raises(ConfigurationError, match="not YAML") as caught:
        read_config(tmp_path / "notify.yaml")
    assert "pass-of-test" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "event", "wanted"),
    [
        ({}, Event("0", "1-0", "line_crossed", "info", 1), False),
        ({}, Event("0", "1-0", "alarm_raised", "warning", 1), True),
        ({"severity": "alarm"}, Event("0", "1-0", "alarm_raised", "warning", 1), False),
        ({"severity": "info"}, Event("0", "1-0", "line_crossed", "info", 1), True),
        ({"severity": "alarm"}, Event("0", "1-0", "camera_back", "info", 1), True),
        ({"kinds": ["line_crossed"], "severity": "info"}, Event("0", "1-0", "camera_back", "info", 1), False),
        ({"kinds": ["line_crossed"]}, Event("0", "1-0", "line_crossed", "info", 1), True),
        ({"kinds": ["line_crossed"], "severity": "alarm"}, Event("0", "1-0", "line_crossed", "info", 1), False),
        ({"cameras": ["door"]}, Event("0", "1-0", "alarm_raised", "alarm", 1), False),
        ({"cameras": ["door"]}, Event("door", "1-0", "alarm_raised", "alarm", 1), True),
        ({}, Event("", "1-0", "memory_full", "alarm", 1), True),
        ({"severity": "info"}, Event("0", "1-0", "of another client", "", 1), True),
    ],
)
def test_which_events_a_target_gets(options: dict[str, Any], event: Event, wanted: bool) -> None:
    (target,) = parse_config({"targets": [{**WEBHOOK, **options}]}).targets
    assert target.wants(event) == wanted


def test_templates_are_filled_and_nothing_else_is() -> None:
    assert fill("{camera}: {what} {x} {}", {"camera": "door", "what": "{camera}"}) == "door: {camera}  "
