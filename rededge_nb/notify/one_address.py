"""The target behind one address, such as `https://example.org/hook`, for `rededge pipeline run --notify`.

    http://…, https://…                 a webhook
    mqtt://user:password@host:port/…    an MQTT broker (mqtts: with TLS); the path is how its topics begin
    ntfys://…, mailtos://…, slack://…   all others: a service that Apprise knows

`${NAME}` stands for a variable of the environment. Any part of such an address may be secret, such as the path of a
webhook. So only the scheme is shown, and the host where that cannot be a token.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from rededge_nb.errors import ConfigurationError, SceneError
from rededge_nb.notify.configuration import DEFAULT_TITLE, NotifyConfig, parse_config

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://.")
_WITH_HOST: Final = ("http", "https", "mqtt", "mqtts")
"""Schemes after which the host is one; Apprise has tokens there for others."""


def config_of_address(address: str, *, secret: str = "", title: str = DEFAULT_TITLE) -> NotifyConfig:
    """The configuration of the one target that an address means.

    Args:
        address: The address.
        secret: Key of the signature, for a webhook.
        title: Template of the title.

    Raises:
        ConfigurationError: It is no address of a target. The message does not quote it.
    """
    scheme = _SCHEME.match(address.strip())
    if scheme is None:
        raise ConfigurationError(
            "this is no address for notifications: give one such as https://example.org/hook, mqtt://broker/rededge "
            "or ntfys://ntfy.sh/topic"
        )
    try:
        target = {"name": "notify", "title": title, **_target(address.strip(), scheme[1].lower(), secret)}
        config = parse_config({"targets": [target]})
    except SceneError as error:
        raise ConfigurationError(f"the address {shown_target(address)} for notifications: {error.problem}") from None
    hidden = {address, *config.secrets, *_parts(config.targets[0].options.get("url", ""))}
    longest_first = sorted((each for each in hidden if len(each) > 2), key=len, reverse=True)
    return dataclasses.replace(config, secrets=tuple(longest_first))


def shown_target(address: str) -> str:
    """An address of a target as it may be shown to anybody."""
    scheme = _SCHEME.match(address.strip())
    if scheme is None:
        return "…"
    shown = f"{scheme[1].lower()}://"
    parts = _split(address.strip()) if scheme[1].lower() in _WITH_HOST else None
    if parts is None or not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-f:.]+", parts.hostname or ""):
        return f"{shown}…"
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{shown}{host}{f':{parts.port}' if parts.port else ''}{'/…' if parts.path.strip('/') else ''}"


def _target(address: str, scheme: str, secret: str) -> dict[str, Any]:
    if scheme not in _WITH_HOST:
        return {"type": "apprise", "urls": [address]}
    parts = _split(address)
    if parts is None or not parts.hostname:
        raise SceneError("", "it has no host, or a port that is no number; is each special character percent-encoded?")
    if scheme.startswith("http"):
        return {"type": "webhook", "url": address, "secret": secret}
    found: dict[str, Any] = {"type": "mqtt", "host": parts.hostname, "tls": scheme == "mqtts"}
    found |= {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    found |= {"port": parts.port} if parts.port else {}
    return found | ({"prefix": unquote(parts.path.strip("/"))} if parts.path.strip("/") else {})


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None if it cannot be read."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _parts(url: str) -> list[str]:
    """The address of a webhook, and its path, which may be a secret as a whole or in part."""
    parts = _split(url)
    return [] if parts is None else [url, parts.path, *parts.path.split("/")]
