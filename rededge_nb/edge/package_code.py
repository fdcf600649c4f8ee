"""Which code of this package a process has loaded.

The bundled gear uses `rededge_nb.analytics` of the worker that runs it. If the package is upgraded while workers run,
they keep what they have loaded, and the gear of the new package may fail there in every frame. So each worker says in
its heartbeat what it has, and whoever registers the gear compares.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from rededge_nb import analytics
from rededge_nb._version import __version__


@functools.cache
def own_code() -> dict[str, str]:
    """The version of the package, and a digest of the modules that a gear may use, as they are at the first call."""
    digest = hashlib.sha256()
    for path in sorted(Path(analytics.__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return {"version": __version__, "analytics": digest.hexdigest()[:16]}
