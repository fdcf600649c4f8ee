"""The one place that reads the environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from rededge_nb.errors import ConfigurationError

REDIS_URL = "REDIS_URL"
"""Use this server and start none."""
STATE_DIR = "REDEDGE_DIR"
"""State folder of the embedded server."""
REDIS_SERVER = "REDEDGE_REDIS_SERVER"
"""A redis-server to run instead of the wheel's."""
TIMESERIES_MODULE = "REDEDGE_TIMESERIES_MODULE"
"""A redistimeseries.so to load instead of the wheel's."""
SWITCHBOARD_MODULE = "REDEDGE_SWITCHBOARD_MODULE"
"""A build of the edge module to load instead of the installed one (sanitizer builds)."""


def disable_telemetry() -> None:
    """Keep ONNX Runtime from reporting home about models and machine, which since 1.29 it does unless told not to.

    It looks at its environment when it is imported, and keeps a database in the home folder even if it reaches nobody.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def redis_url() -> str | None:
    """Address of an existing server, if the environment names one."""
    return os.environ.get(REDIS_URL) or None


def state_dir() -> Path:
    """Folder in which the embedded server keeps everything."""
    value = os.environ.get(STATE_DIR)
    return Path(value).expanduser().resolve() if value else Path(platformdirs.user_state_dir("rededge"))


def file_named_by(variable: str) -> Path | None:
    """The file that an environment variable names.

    Raises:
        ConfigurationError: it names one that does not exist.
    """
    value = os.environ.get(variable)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigurationError(f"{variable} is {value!r}, but there is no such file")
    return path.resolve()


@contextlib.contextmanager
def state_dir_set_to(path: Path) -> Iterator[None]:
    """Let this process and those it starts meanwhile use the embedded server in `path`, and no other."""
    before = {name: os.environ.pop(name, None) for name in (STATE_DIR, REDIS_URL)}
    os.environ[STATE_DIR] = str(path)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
