"""Reads notify.yaml: the targets, and which events each of them gets.

    targets:
      - name: office
        type: webhook
        url: https://example.org/rededge
        secret: ${WEBHOOK_SECRET}
        severity: alarm
      - name: home
        type: mqtt
        host: homeassistant.local
        user: rededge
        password: ${MQTT_PASSWORD}
        home_assistant: true
      - name: phone
        type: apprise
        urls: ["ntfys://ntfy.sh/${NTFY_TOPIC}"]
        cameras: [door]

`${NAME}` stands for a variable of the environment. Its value is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from rededge_nb import schema, settings
from rededge_nb.analytics.events import KINDS
from rededge_nb.analytics.fields import (
    Fields,
    at,
    check_choice,
    check_flag,
    check_integer,
    check_items,
    check_name,
    check_number,
    check_text,
    nearest,
    shown,
)
from rededge_nb.analytics.rules import SEVERITIES
from rededge_nb.errors import ConfigurationError, SceneError
from rededge_nb.reading.events import Event
from rededge_nb.yaml_files import read_yaml

TEMPLATE_FIELDS: Final = (
    "camera", "kind", "severity", "what", "time", "rule", "zone", "line", "direction", "direction_name",
    "people", "seconds", "value", "track", "reason", "alarm", "clip", "id",
)  # fmt: skip
"""What message templates may refer to."""
RECOVERIES: Final = ("camera_back", "gear_unpaused", "gear_works", "memory_free", "disk_free", "worker_back")
"""Events of severity `info` that end something worse: whoever was notified of that gets them, too."""
DEFAULT_TITLE: Final = "{camera}: {what}"
DEFAULT_TEXT: Final = "{what} ({time})"
MAX_TARGETS: Final = 32
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_COMMON: Final = (
    "name", "type", "kinds", "cameras", "severity", "title", "text", "snapshot", "timeout", "give_up_after",
)  # fmt: skip
_OF_TYPE: Final[dict[str, tuple[str, ...]]] = {
    "webhook": ("url", "secret", "headers"),
    "mqtt": ("host", "port", "user", "password", "tls", "prefix", "topic", "home_assistant"),
    "apprise": ("urls",),
}


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """Where events are sent.

    Attributes:
        name: Unique; names the consumer group, so that a target continues where it was.
        type: "webhook", "mqtt" or "apprise".
        options: The fields of this type.
        kinds: Only events of these kinds; empty is all.
        cameras: Only events of these cameras; empty is all, and those of the whole server.
        severity: Events of this severity or a higher one, and those that end one.
        title: Template of the title.
        text: Template of the text.
        snapshot: Whether the frame with boxes is attached.
        timeout: Seconds that one attempt may take.
        give_up_after: Seconds after which an event that the receiver answers with an error is put aside. A receiver
            that cannot be reached is tried without end.
    """

    name: str
    type: str
    options: Mapping[str, Any] = field(repr=False)
    kinds: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    severity: str = "warning"
    title: str = DEFAULT_TITLE
    text: str = DEFAULT_TEXT
    snapshot: bool = True
    timeout: float = 10.0
    give_up_after: float = 3600.0

    def wants(self, event: Event) -> bool:
        """Whether an event is for this target."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.cameras and event.camera not in self.cameras:
            return False
        return event.kind in RECOVERIES or event.is_at_least(self.severity)


@dataclass(frozen=True)
class NotifyConfig:
    """The content of notify.yaml.

    Attributes:
        targets: In the order of the file.
        secrets: Values that must never be shown.
    """

    targets: tuple[TargetConfig, ...]
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def without_secrets(self, text: str) -> str:
        """A text in which each secret is replaced."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_config(path: str | Path) -> NotifyConfig:
    """Read the file.

    Raises:
        ConfigurationError: It cannot be read, or has a mistake; the message names the field.
    """
    path = Path(path).expanduser()
    try:
        value = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the targets in {path}: {getattr(error, 'strerror', error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        # Not chained, and only in part: it quotes the line, which may hold a password.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{path}{where}: this is not YAML ({problem or type(error).__name__})") from None
    try:
        return parse_config(value)
    except SceneError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse_config(value: object) -> NotifyConfig:
    """The configuration from what a YAML reader made of the file.

    Raises:
        SceneError: A field is wrong, missing or unknown.
    """
    secrets: list[str] = []
    items = check_items(Fields(value, ("targets",)).get("targets"), "targets", MAX_TARGETS)
    if not items:
        raise SceneError("targets", "the list is empty: name at least one target")
    targets: list[TargetConfig] = []
    for i, item in enumerate(items):
        with at(f"targets[{i}]"):
            target = _target(_filled(item, secrets), secrets)
            if target.name in [one.name for one in targets]:
                raise SceneError("name", f"{shown(target.name)} is the name of another target, too")
            targets.append(target)
    # the longest first: one may contain another
    return NotifyConfig(tuple(targets), tuple(sorted({one for one in secrets if len(one) > 2}, key=len, reverse=True)))


def fill(template: str, values: Mapping[str, object]) -> str:
    """A template with its `{fields}` filled in."""
    return _FIELD.sub(lambda found: str(values.get(found[1], "")), template)


def check_template(value: object, name: str, fields: Sequence[str] = TEMPLATE_FIELDS) -> str:
    """A template whose fields are known, or a `SceneError`."""
    template = check_text(value, name)
    for found in _FIELD.findall(template):
        if found not in fields:
            raise SceneError(name, f"has the unknown field {{{found[:40]}}}; {nearest(found, fields)}")
    return template


def _target(value: object, secrets: list[str]) -> TargetConfig:
    every = [name for names in _OF_TYPE.values() for name in names]
    known = Fields(value, [*_COMMON, *dict.fromkeys(every)])
    kind = check_choice(known.get("type"), "type", tuple(_OF_TYPE))
    fields = Fields(value, [*_COMMON, *_OF_TYPE[kind]])
    kinds = [
        check_choice(one, f"kinds[{i}]", KINDS)
        for i, one in enumerate(check_items(fields.get("kinds", []), "kinds", 64))
    ]
    # whoever names kinds wants them, and crossings are only `info`
    severity = check_choice(fields.get("severity", "info" if kinds else "warning"), "severity", SEVERITIES)
    names = enumerate(check_items(fields.get("cameras", []), "cameras", 1000))
    options = {"webhook": _webhook, "mqtt": _mqtt, "apprise": _apprise}[kind](fields, secrets)
    return TargetConfig(
        name=check_name(fields.get("name")),
        type=kind,
        options=options,
        kinds=tuple(kinds),
        cameras=tuple(_camera(one, f"cameras[{i}]") for i, one in names),
        severity=severity,
        title=check_template(fields.get("title", DEFAULT_TITLE), "title"),
        text=check_template(fields.get("text", DEFAULT_TEXT), "text"),
        snapshot=check_flag(fields.get("snapshot", kind != "mqtt"), "snapshot"),
        timeout=check_number(fields.get("timeout", 10), "timeout", 0.1, 300),
        give_up_after=check_number(fields.get("give_up_after", 3600), "give_up_after", 0, 30 * 86_400),
    )


def _webhook(fields: Fields, secrets: list[str]) -> dict[str, Any]:
    url = check_text(fields.get("url"), "url")
    if not re.match(r"https?://[^/\s]", url):
        raise SceneError("url", "must begin with http:// or https:// and a host")
    secrets += [*re.findall(r"//([^/@\s]+)@", url), *re.findall(r"[?&][^=&#]+=([^&#]+)", url)]
    secret = check_text(fields.get("secret", ""), "secret")
    headers = fields.get("headers", {})
    if not isinstance(headers, Mapping):
        raise SceneError("headers", f"{shown(headers)} is not a list of names with values")
    pairs = {check_text(name, "headers"): check_text(text, f"headers.{name}") for name, text in headers.items()}
    secrets += [secret, *pairs.values()]
    return {"url": url, "secret": secret, "headers": pairs}


def _mqtt(fields: Fields, secrets: list[str]) -> dict[str, Any]:
    tls = check_flag(fields.get("tls", False), "tls")
    password = check_text(fields.get("password", ""), "password")
    secrets.append(password)
    discovery = fields.get("home_assistant", False)
    return {
        "host": check_text(fields.get("host"), "host"),
        "port": check_integer(fields.get("port", 8883 if tls else 1883), "port", 1, 65535),
        "user": check_text(fields.get("user", ""), "user"),
        "password": password,
        "tls": tls,
        "prefix": check_text(fields.get("prefix", "rededge"), "prefix").strip("/"),
        "topic": check_template(fields.get("topic", ""), "topic"),
        "home_assistant": "homeassistant" if discovery is True else check_text(discovery or "", "home_assistant"),
    }


def _apprise(fields: Fields, secrets: list[str]) -> dict[str, Any]:
    items = check_items(fields.get("urls"), "urls", 32)
    urls = [check_text(one, f"urls[{i}]") for i, one in enumerate(items)]
    if not urls:
        raise SceneError("urls", "the list is empty: see https://appriseit.com for the addresses of services")
    secrets += urls + [url.split("://", 1)[-1] for url in urls]
    return {"urls": urls}


def _camera(value: object, name: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else check_text(value, name)
    try:
        return schema.camera_id(text)
    except ConfigurationError as error:
        raise SceneError(name, str(error)) from None


def _filled(value: object, secrets: list[str]) -> object:
    """A value of the file in which `${NAME}` is the value of that variable."""
    if isinstance(value, str):

        def replaced(found: re.Match[str]) -> str:
            known = settings.environment_value(found[1])
            if known is None:
                raise SceneError("", f"refers to ${{{found[1]}}}, which the environment does not have: set it")
            secrets.append(known)
            return known

        return _VARIABLE.sub(replaced, value)
    if isinstance(value, Mapping):
        found = {}
        for name, one in value.items():
            with at(str(name)):
                found[name] = _filled(one, secrets)
        return found
    return [_filled(one, secrets) for one in value] if isinstance(value, list) else value
