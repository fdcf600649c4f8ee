"""The one place that reads the environment."""

from __future__ import annotations

import contextlib
import os
import re
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
MAX_MEMORY = "REDEDGE_MAX_MEMORY"
"""What the embedded server may take, as Redis writes it: `2gb`, `500mb`."""
LEAST_MAX_MEMORY = 64 * 1024**2
"""Less does not hold the server, a model, and the model once more on its way."""
_SIZE = re.compile(r"(\d{1,18})(k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "kb": 1024, "mb": 1024**2, "gb": 1024**3}

MAX_PIXELS = 100_000_000
"""Width times height above which no picture is decoded: this one takes 300 MB."""

ONNX_BACKEND = "REDEDGE_ONNX_BACKEND"
"""What runs ONNX models: one of ONNX_BACKENDS."""
ONNX_BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")
"""The first is the default; `openvino-bf16` computes in bfloat16 where the processor supports it."""
MODEL_EXECUTION_TIMEOUT = "REDEDGE_MODEL_EXECUTION_TIMEOUT"
"""Milliseconds after which a run of an ONNX model is ended, 1000 at least."""
DEFAULT_MODEL_EXECUTION_TIMEOUT_MS = 5000
LEAST_MODEL_EXECUTION_TIMEOUT_MS = 1000

WEB_TOKEN = "REDEDGE_WEB_TOKEN"  # noqa: S105 - the name of a variable
"""What requests to the web server must carry; also on the loopback interface, which needs none without it."""


def disable_telemetry() -> None:
    """Keep ONNX Runtime from reporting home about models and machine, which since 1.29 it does unless told not to.

    It looks at its environment when it is imported, and keeps a database in the home folder even if it reaches nobody.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def limit_pictures() -> None:
    """Let the OpenCV that gears import refuse pictures of more than MAX_PIXELS before it decodes them.

    Its own limit, which it reads from its environment when it is imported, lets one picture take 3 GB.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


def max_memory() -> int | None:
    """Bytes that the embedded server may take, if the environment says so.

    Raises:
        ConfigurationError: it says no size, or one that is too small.
    """
    value = os.environ.get(MAX_MEMORY)
    if not value:
        return None
    found = _SIZE.fullmatch(value.strip())
    size = int(found[1]) * _UNITS[(found[2] or "").lower()] if found else 0
    if size < LEAST_MAX_MEMORY:
        raise ConfigurationError(
            f"{MAX_MEMORY} is {value!r}, but it must be a size such as 2gb or 500mb, "
            f"{LEAST_MAX_MEMORY // 1024**2}mb at least"
        )
    return size


def redis_url() -> str | None:
    """Address of an existing server, if the environment names one."""
    return os.environ.get(REDIS_URL) or None


def web_token() -> str | None:
    """Token of the web server, if the environment names one."""
    return os.environ.get(WEB_TOKEN) or None


def state_dir() -> Path:
    """Folder in which the embedded server keeps everything."""
    value = os.environ.get(STATE_DIR)
    return Path(value).expanduser().resolve() if value else Path(platformdirs.user_state_dir("rededge"))


def onnx_backend() -> str:
    """What runs ONNX models: one of ONNX_BACKENDS.

    Raises:
        ConfigurationError: the environment names another.
    """
    value = os.environ.get(ONNX_BACKEND) or ONNX_BACKENDS[0]
    if value not in ONNX_BACKENDS:
        raise ConfigurationError(f"{ONNX_BACKEND} is {value!r}, but it must be one of {', '.join(ONNX_BACKENDS)}")
    return value


def model_execution_timeout() -> float:
    """Seconds after which a run of an ONNX model is ended.

    Raises:
        ConfigurationError: the environment has no number there, or one that is too small.
    """
    value = os.environ.get(MODEL_EXECUTION_TIMEOUT) or str(DEFAULT_MODEL_EXECUTION_TIMEOUT_MS)
    if not value.isdecimal() or int(value) < LEAST_MODEL_EXECUTION_TIMEOUT_MS:
        raise ConfigurationError(
            f"{MODEL_EXECUTION_TIMEOUT} is {value!r}, but it must be a number of milliseconds, "
            f"{LEAST_MODEL_EXECUTION_TIMEOUT_MS} at least"
        )
    return int(value) / 1000


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


def silence_ffmpeg() -> None:
    """Keep the FFmpeg in OpenCV from printing what it thinks of a stream; it asks its environment when first used."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")


def environment_value(name: str) -> str | None:
    """A variable that a file of the user's refers to, or that is somebody else's and is added to."""
    return os.environ.get(name)
