"""What `rededge status` tells about a running instance."""

from __future__ import annotations

from typing import Any

import redis

from rededge_nb.connection import without_password
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server import disk_use
from rededge_nb.edge.state import Instance
from rededge_nb.errors import ServerUnavailableError
from rededge_nb.gears import list_registrations
from rededge_nb.models import model_memory


def server_status(url: str, instance: Instance | None) -> dict[str, Any]:
    """Versions, memory, workers, models and registrations of a server, and what is known of an embedded instance.

    The password is not in it.

    Raises:
        ServerUnavailableError: the server does not answer.
    """
    client = client_from_url(url)
    try:
        info = client.info()
        workers = list(client.scan_iter("rededge:worker:*", count=1000))
        models = model_memory(client)
        gears = list_registrations(client)
    except redis.RedisError as error:
        where = instance.dir if instance else without_password(url)
        raise ServerUnavailableError(f"the server at {where} does not answer as it should: {error}") from error
    finally:
        client.close()
    embedded: dict[str, Any] = {}
    if instance is not None:
        embedded = {
            "folder": str(instance.dir),
            "port": instance.port,
            "socket": str(instance.socket),
            "supervisor_pid": instance.pid,
            "disk_mb": round(disk_use(instance.dir) / 1e6, 1),
        }
    return embedded | {
        "redis_version": info["redis_version"],
        "redis_pid": info["process_id"],
        "uptime_seconds": info["uptime_in_seconds"],
        "memory_mb": round(info["used_memory"] / 1e6, 1),
        "workers": len(workers),
        "models": [{"key": key, "memory_mb": round(size / 1e6, 1)} for key, size in models.items()],
        "gears": [{"session": gear.session, "stream": gear.stream, "status": gear.status} for gear in gears],
    }


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The facts as aligned text."""
    gears = (f"{gear['session']} on {gear['stream']}: {gear['status']}" for gear in facts["gears"])
    models = (f"{model['key']} ({model['memory_mb']} MB)" for model in facts["models"])
    texts = facts | {"models": ", ".join(models), "gears": ", ".join(gears)}
    width = max(map(len, texts))
    return [f"{name.replace('_', ' '):<{width}}  {value}".rstrip() for name, value in texts.items()]
