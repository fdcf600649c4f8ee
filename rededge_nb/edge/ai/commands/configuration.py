"""AI.CONFIG's settings, kept in database 0 so that all workers have the same."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import redis

from rededge_nb.edge.ai import backends
from rededge_nb.edge.client import key_names

DEFAULT_MODEL_CHUNK_SIZE = 535_822_336
"""Bytes of a model that travel as one bulk."""

_MODEL_CHUNK_SIZE = "model_chunk_size"
_BACKENDS_PATH = "backendspath"


def model_chunk_size(client: redis.Redis) -> int:
    """The setting; `client` is one of database 0."""
    value = client.hget(key_names.ai_settings(client), _MODEL_CHUNK_SIZE)
    return int(value) if value is not None else DEFAULT_MODEL_CHUNK_SIZE


def set_model_chunk_size(client: redis.Redis, size: int) -> None:
    """Change the setting for all workers; `client` is one of database 0."""
    client.hset(key_names.ai_settings(client), _MODEL_CHUNK_SIZE, str(size))


def backends_path(client: redis.Redis) -> bytes:
    """What was set, or the folder of the backends' modules; `client` is one of database 0."""
    value = cast(bytes | None, client.hget(key_names.ai_settings(client), _BACKENDS_PATH))
    return value if value is not None else str(Path(backends.__file__).parent).encode()


def set_backends_path(client: redis.Redis, path: bytes) -> None:
    """Change what is told of the path. Backends are this package's own modules, wherever it points."""
    client.hset(key_names.ai_settings(client), _BACKENDS_PATH, path)
