"""Settings from the environment. No other module reads environment variables."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from rededge_nb.errors import ConfigurationError

REDIS_URL = "REDIS_URL"
"""Address of a server to use in place of an embedded one."""
STATE_DIR = "REDEDGE_DIR"
"""State folder of the embedded server."""
REDIS_SERVER = "REDEDGE_REDIS_SERVER"
"""A redis-server to run in place of the one in the wheel."""
TIMESERIES_MODULE = "REDEDGE_TIMESERIES_MODULE"
"""A redistimeseries.so to load in place of the one in the wheel."""
SWITCHBOARD_MODULE = "REDEDGE_SWITCHBOARD_MODULE"
"""A build of the edge module to load in place of the installed one, for builds with sanitizers."""
MAX_MEMORY = "REDEDGE_MAX_MEMORY"
"""Memory of the embedded server, as in redis.conf: `2gb`, `500mb`."""
MIN_MAX_MEMORY = 64 * 1024**2
"""With less memory than this the server cannot hold a model and, while it is being stored, a copy of it."""
_SECRET = re.compile(r"(REDIS|GRAFANA|GF|REDEDGE)_\w*(PASSWORD|TOKEN|SECRET)\w*|REDISCLI_AUTH")
_SIZE = re.compile(r"(\d{1,18})(k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "kb": 1024, "mb": 1024**2, "gb": 1024**3}

CLIPS_DIR = "REDEDGE_CLIPS_DIR"
"""Folder of the clips that rules have asked for, if it is not the folder `clips` of the state folder."""
CLIPS_SIZE = "REDEDGE_CLIPS_SIZE"
"""Size of all clips that rules have asked for, such as `2gb`; above it the oldest ones are deleted."""
DEFAULT_CLIPS_SIZE = "1gb"
CLIPS_DAYS = "REDEDGE_CLIPS_DAYS"
"""Days after which such a clip is deleted."""
DEFAULT_CLIPS_DAYS = "30"

MAX_PIXELS = 100_000_000
"""Width times height above which an image is not decoded; one of this size uses 300 MB."""

ONNX_BACKEND = "REDEDGE_ONNX_BACKEND"
"""The backend of ONNX models: one of ONNX_BACKENDS."""
ONNX_BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")
"""The first is the default; `openvino-bf16` computes in bfloat16 if the processor supports it."""
MODEL_EXECUTION_TIMEOUT = "REDEDGE_MODEL_EXECUTION_TIMEOUT"
"""Milliseconds after which a run of an ONNX model is ended, at least 1000."""
DEFAULT_MODEL_EXECUTION_TIMEOUT_MS = 5000
MIN_MODEL_EXECUTION_TIMEOUT_MS = 1000

HANG_TIMEOUT = "REDEDGE_HANG_TIMEOUT"
"""Seconds after which a worker that hangs is killed and started again; 0 means never."""
DEFAULT_HANG_TIMEOUT = 15.0
MIN_HANG_TIMEOUT = 5.0
REPORTS_DESCRIPTOR = "REDEDGE_REPORTS_DESCRIPTOR"
"""For workers only: the file descriptor to which they report that they work."""

WORKER_LOG = "REDEDGE_WORKER_LOG"
"""For workers only: the file to which their output goes; not set if that is no file of the supervisor."""

AFTER_DEATH = "REDEDGE_AFTER_DEATH"
"""For workers only: set if the last worker died, so that this one tries cautiously what may have killed it."""

RUN = "REDEDGE_RUN"
"""Id of the pipeline run that captures belong to; the pipeline sets it for the notebooks that it runs."""

WEB_TOKEN = "REDEDGE_WEB_TOKEN"  # noqa: S105 - the name of a variable
"""The token that requests to the web server must contain, on the loopback interface, too. Without this setting, the
state folder has it."""

NOTIFY = "REDEDGE_NOTIFY"
"""Address that gets a message at the end of a pipeline run, as `rededge pipeline run --notify` does."""
NOTIFY_SECRET = "REDEDGE_NOTIFY_SECRET"  # noqa: S105 - the name of a variable
"""Key with which such a message is signed, if the address is that of a webhook."""


def is_secret(name: str) -> bool:
    """Whether a variable contains a password or token of this package, or of the containers that it runs in."""
    return name in (REDIS_URL, WEB_TOKEN, NOTIFY, "JUPYTER_TOKEN") or _SECRET.fullmatch(name) is not None


def disable_telemetry() -> None:
    """Disable the telemetry of ONNX Runtime, which sends data about models and the machine since version 1.29.

    ONNX Runtime reads the variable when it is imported. Without it, it also writes a database to the home folder.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def limit_image_size() -> None:
    """Let OpenCV, if a gear imports it, refuse images of more than MAX_PIXELS before it decodes them.

    OpenCV reads the variable when it is imported. With its default, one image can use 3 GB.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


def max_memory() -> int | None:
    """The memory of the embedded server in bytes; None if the environment does not limit it.

    Raises:
        ConfigurationError: The value is not a size, or too small.
    """
    value = os.environ.get(MAX_MEMORY)
    if not value:
        return None
    size = _size(value)
    if size < MIN_MAX_MEMORY:
        raise ConfigurationError(
            f"{MAX_MEMORY} is {value!r}, but it must be a size such as 2gb or 500mb, "
            f"at least {MIN_MAX_MEMORY // 1024**2}mb"
        )
    return size


def clips_dir() -> Path | None:
    """Folder of the clips that rules have asked for; None if it is in the state folder."""
    value = os.environ.get(CLIPS_DIR)
    return Path(value).expanduser().resolve() if value else None


def clips_size() -> int:
    """Bytes that all clips together may have.

    Raises:
        ConfigurationError: The value is not a size.
    """
    value = os.environ.get(CLIPS_SIZE) or DEFAULT_CLIPS_SIZE
    size = _size(value)
    if not size:
        raise ConfigurationError(f"{CLIPS_SIZE} is {value!r}, but it must be a size such as 2gb or 500mb")
    return size


def clips_days() -> float:
    """Days after which a clip is deleted.

    Raises:
        ConfigurationError: The value is not a number above 0.
    """
    value = os.environ.get(CLIPS_DAYS) or DEFAULT_CLIPS_DAYS
    try:
        days = float(value)
    except ValueError:
        days = math.nan
    if not 0 < days < math.inf:
        raise ConfigurationError(f"{CLIPS_DAYS} is {value!r}, but it must be a number of days above 0")
    return days


def _size(text: str) -> int:
    """The bytes of a size such as `2gb`; 0 if it is none."""
    found = _SIZE.fullmatch(text.strip())
    return int(found[1]) * _UNITS[(found[2] or "").lower()] if found else 0


def redis_url() -> str | None:
    """Address of the server to use; None if the environment has none."""
    return os.environ.get(REDIS_URL) or None


def run_id() -> str:
    """Id of the pipeline run that this process belongs to; empty if it belongs to none."""
    return os.environ.get(RUN, "")


def worker_log() -> Path | None:
    """The log file of a worker; None if its output goes elsewhere."""
    value = os.environ.get(WORKER_LOG)
    return Path(value) if value else None


def web_token() -> str | None:
    """Token of the web server; None if the environment has none."""
    return os.environ.get(WEB_TOKEN) or None


def notify_address() -> str | None:
    """Address that gets a message at the end of a pipeline run; None if the environment has none."""
    return os.environ.get(NOTIFY) or None


def notify_secret() -> str:
    """Key with which such a message is signed; empty if the environment has none."""
    return os.environ.get(NOTIFY_SECRET, "")


def state_dir() -> Path:
    """The state folder of the embedded server."""
    value = os.environ.get(STATE_DIR)
    return Path(value).expanduser().resolve() if value else Path(platformdirs.user_state_dir("rededge"))


def onnx_backend() -> str:
    """The backend of ONNX models: one of ONNX_BACKENDS.

    Raises:
        ConfigurationError: The environment has another value.
    """
    value = os.environ.get(ONNX_BACKEND) or ONNX_BACKENDS[0]
    if value not in ONNX_BACKENDS:
        raise ConfigurationError(f"{ONNX_BACKEND} is {value!r}, but it must be one of {', '.join(ONNX_BACKENDS)}")
    return value


def model_execution_timeout() -> float:
    """Seconds after which a run of an ONNX model is ended.

    Raises:
        ConfigurationError: The value is not a number, or too small.
    """
    value = os.environ.get(MODEL_EXECUTION_TIMEOUT) or str(DEFAULT_MODEL_EXECUTION_TIMEOUT_MS)
    if not value.isdecimal() or int(value) < MIN_MODEL_EXECUTION_TIMEOUT_MS:
        raise ConfigurationError(
            f"{MODEL_EXECUTION_TIMEOUT} is {value!r}, but it must be a number of milliseconds, "
            f"at least {MIN_MODEL_EXECUTION_TIMEOUT_MS}"
        )
    return int(value) / 1000


def hang_timeout() -> float:
    """Seconds after which a worker that hangs is killed; 0 means never.

    Raises:
        ConfigurationError: The value is not a number, or too small.
    """
    value = os.environ.get(HANG_TIMEOUT) or str(DEFAULT_HANG_TIMEOUT)
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if seconds != 0.0 and not MIN_HANG_TIMEOUT <= seconds < math.inf:
        raise ConfigurationError(
            f"{HANG_TIMEOUT} is {value!r}, but it must be a number of seconds, at least {MIN_HANG_TIMEOUT:g}, or 0"
        )
    return seconds


def reports_descriptor() -> int | None:
    """The file descriptor for this worker's reports; None if no process waits for them."""
    value = os.environ.get(REPORTS_DESCRIPTOR, "")
    return int(value) if value.isdecimal() else None


def after_death() -> bool:
    """Whether the worker before this one died."""
    return bool(os.environ.get(AFTER_DEATH))


def file_named_by(variable: str) -> Path | None:
    """The file whose path is in an environment variable; None if the variable is not set.

    Raises:
        ConfigurationError: The file does not exist.
    """
    value = os.environ.get(variable)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigurationError(f"{variable} is {value!r}, but there is no such file")
    return path.resolve()


@contextlib.contextmanager
def run_set_to(run: str) -> Iterator[None]:
    """Let the captures of the processes that are started in this block belong to a pipeline run."""
    before = os.environ.get(RUN)
    os.environ[RUN] = run
    try:
        yield
    finally:
        if before is None:
            del os.environ[RUN]
        else:
            os.environ[RUN] = before


@contextlib.contextmanager
def state_dir_set_to(path: Path) -> Iterator[None]:
    """Within the block, this process and its children use the embedded server in `path` and no other."""
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


def silence_ffmpeg() -> None:
    """Keep OpenCV's FFmpeg from printing messages about streams. It reads the variable when it is used first."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")


def environment_value(name: str) -> str | None:
    """The value of a variable whose name comes from a file of the user, or that belongs to another program."""
    return os.environ.get(name)
