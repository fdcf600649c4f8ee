"""The settings of AI.CONFIG. They are part of the workers' state, so all workers use the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import redis

from rededge_nb.edge.ai import backends
from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client

DEFAULT_MODEL_CHUNK_SIZE = 535_822_336
"""Default for the longest part, in bytes, in which AI.MODELGET returns a model."""

_MODEL_CHUNK_SIZE = "model_chunk_size"
_BACKENDS_PATH = "backendspath"


def model_chunk_size(client: redis.Redis) -> int:
    """The setting."""
    value = state_client(client).hget(key_names.ai_settings(client), _MODEL_CHUNK_SIZE)
    return int(value) if value is not None else DEFAULT_MODEL_CHUNK_SIZE


def set_model_chunk_size(client: redis.Redis, size: int) -> None:
    """Change the setting for all workers."""
    state_client(client).hset(key_names.ai_settings(client), _MODEL_CHUNK_SIZE, str(size))


def backends_path(client: redis.Redis) -> bytes:
    """The path that was set, or else the folder of the backends' modules."""
    value = cast(bytes | None, state_client(client).hget(key_names.ai_settings(client), _BACKENDS_PATH))
    return value if value is not None else str(Path(backends.__file__).parent).encode()


def set_backends_path(client: redis.Redis, path: bytes) -> None:
    """Change the reply of backends_path(), and nothing else: backends are always modules of this package."""
    state_client(client).hset(key_names.ai_settings(client), _BACKENDS_PATH, path)
