"""What the commands for models and those for scripts have in common; `kind` is hashes.MODEL or hashes.SCRIPT."""

from __future__ import annotations

import re

from rededge_nb.edge.ai.execution.cache import Identity
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.storage import hashes, records, writing
from rededge_nb.edge.switchboard.calls import OK, Call

DEVICE = re.compile(rb"(CPU|GPU)(:[0-9]+)?", re.IGNORECASE)
"""A device as clients spell it."""
DEVICE_LENGTH_LIMIT = 10
"""A device must be shorter than this. Only AI.MODELSET accepts this length, too."""


def store(
    call: Call, models: LoadedModels, *, kind: str, key: bytes, fields: hashes.Fields, identity: Identity
) -> object:
    """Store a loaded model or compiled script, and keep it loaded for the key."""
    try:
        writing.replace(call.redis, kind, [(key, fields)])
        models.hold(call.redis, key, identity)
    finally:
        models.sweep()  # also if it was not stored: then no key uses it
    return OK


def delete(call: Call, models: LoadedModels, *, kind: str) -> object:
    """`AI.MODELDEL key` and `AI.SCRIPTDEL key`."""
    hashes.delete(call.redis, call.args[0], kind)
    models.sweep()
    return OK


def scan(call: Call, _: LoadedModels, *, kind: str) -> object:
    """`AI._MODELSCAN` and `AI._SCRIPTSCAN`."""
    return [[key, tag] for key, tag in records.scan(call.redis, kind)]
