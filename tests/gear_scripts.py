"""Helpers for tests that speak RG.*."""

from __future__ import annotations

from typing import Any

import redis

from tests.waiting import wait_for


def execute(client: redis.Redis, script: str, *options: object) -> Any:
    return client.execute_command("RG.PYEXECUTE", script, *options)


def execute_when_served(client: redis.Redis, script: str) -> Any:
    """Execute a script after the start or the death of a worker, which may take longer than calls wait for one."""

    def found() -> object:
        try:
            return execute(client, script)
        except redis.ResponseError as error:
            if not str(error).startswith("NOWORKER"):
                raise
            return None

    return wait_for(found, what="a worker", timeout=60)


def fields(flat: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def registrations(client: redis.Redis) -> list[dict[str, Any]]:
    """RG.DUMPREGISTRATIONS with names instead of positions, `RegistrationData` and its `args` included."""
    found = []
    for entry in client.execute_command("RG.DUMPREGISTRATIONS"):
        registration = fields(entry)
        registration["data"] = fields(registration["RegistrationData"])
        registration["args"] = fields(registration["data"]["args"])
        found.append(registration)
    return found


def only_registration(client: redis.Redis) -> dict[str, Any]:
    (registration,) = registrations(client)
    return registration
