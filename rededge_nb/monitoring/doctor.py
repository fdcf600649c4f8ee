"""What `rededge doctor` checks: everything that RedisEdge needs.

Where only an attempt can show whether something works, doctor makes it: it starts a redis-server with both modules in a
temporary folder, listens on a port, and writes a file into the state folder.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, cast

from rededge_nb import settings
from rededge_nb.capture.sources.webcam_devices import webcams
from rededge_nb.edge.server.memory import limit_files
from rededge_nb.errors import RedEdgeError

State = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
WEB_PORT = 5000
GIGABYTE = 1e9
DISK_WARN, DISK_FAIL = 2 * GIGABYTE, 0.2 * GIGABYTE
"""Free bytes on the disk of the state folder. A busy camera keeps about 200 MB there."""
MEMORY_WARN, MEMORY_FAIL = 1 * GIGABYTE, 0.3 * GIGABYTE
"""Free bytes of memory. A server with one worker and its model takes about 300 MB."""
OPTIONAL = {
    "openvino": ("running ONNX models with OpenVINO", "pip install 'rededge_nb[openvino]'"),
    "torch": ("TORCH models and scripts", "pip install 'rededge_nb[torch]'"),
    "tensorflow-cpu": ("TF models", "pip install 'rededge_nb[tf]'"),
    "ai-edge-litert": ("TFLITE models", "pip install 'rededge_nb[tflite]'"),
    "papermill": ("the pipeline", "pip install 'rededge_nb[notebooks]'"),
    "voila": ("the dashboard as a separate page", "pip install 'rededge_nb[voila]'"),
    "jupyterlab": ("`rededge lab`", "pip install 'rededge_nb[lab]'"),
}
"""Optional packages: what each is for, and how to install it."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked.
        state: `ok`, `warn` if only some users need it, `fail` if RedisEdge does not work without it.
        found: What was found.
        advice: What to do about it; empty for `ok`.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine(directory: Path | None = None) -> Iterator[Finding]:
    """Make all checks, one after the other, for the server that `directory` or the environment names."""
    embedded = directory is not None or not settings.redis_url()
    yield _platform()
    yield _python()
    if embedded:
        yield _trying("redis-server", _server_starts)
    else:
        yield _trying("REDIS_URL", _server_answers)
        yield from _clock(str(settings.redis_url()))
    yield _trying("onnxruntime", _onnxruntime)
    yield _trying("cuda", _cuda)
    yield _trying("opencv", _opencv)
    for package, (purpose, advice) in OPTIONAL.items():
        yield _optional(package, purpose, advice)
    yield _webcams()
    yield _trying("ports", _ports)
    if embedded:
        folder = (directory or settings.state_dir()).absolute()
        yield _trying("state folder", lambda: _state_folder(folder))
        yield _disk(folder)
        yield _trying("instance", lambda: _instance(folder))
        yield from _clock(_url_of_instance(folder))
    yield _memory()


def as_lines(finding: Finding) -> list[str]:
    """Format a finding as lines of text."""
    lines = [f"{finding.state:<4}  {finding.name:<14} {finding.found}"]
    return [*lines, f"{'':<21}-> {finding.advice}"] if finding.advice else lines


def _trying(name: str, check: Callable[[], Finding]) -> Finding:
    """Make a check; an error of ours is a finding too, since its message says what to do."""
    try:
        return check()
    except RedEdgeError as error:
        found, _, advice = str(error).partition(": ")
        return Finding(name, "fail", found, advice)
    except (ImportError, OSError) as error:
        return Finding(name, "fail", f"{type(error).__name__}: {error}", "install the package again: pip install .")


def _platform() -> Finding:
    libc, libc_version = platform.libc_ver()
    found = f"{platform.system()} {platform.release()}, {platform.machine()}, {libc or 'no glibc'} {libc_version}"
    if (platform.system(), platform.machine(), libc) == ("Linux", "x86_64", "glibc"):
        return Finding("platform", "ok", found)
    advice = (
        "PyPI has no redis-server for this platform: name your own with "
        f"{settings.REDIS_SERVER} and {settings.TIMESERIES_MODULE}, or a running server with {settings.REDIS_URL}"
    )
    return Finding("platform", "warn", found, advice)


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("python", "ok", found)
    return Finding("python", "fail", found, f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def _server_starts() -> Finding:
    """Start a redis-server with both modules in a temporary folder, and stop it."""
    from rededge_nb.edge.client import client_from_url
    from rededge_nb.edge.processes import end_process
    from rededge_nb.edge.server.binaries import find_binaries
    from rededge_nb.edge.server.redis_server import (
        STOP_TIMEOUT,
        start_redis,
        wait_until_ready,
        write_configuration,
    )
    from rededge_nb.edge.server.state import StateFolder
    from rededge_nb.edge.worker.command_table import module_arguments

    binaries = find_binaries()
    with tempfile.TemporaryDirectory(prefix="rededge-") as temporary:
        folder = StateFolder(Path(temporary))
        folder.create()
        socket = folder.path / "redis.sock"
        write_configuration(folder, binaries, port=0, socket_path=socket, module_arguments=module_arguments())
        process = start_redis(folder, binaries)
        url = f"unix://:{folder.password()}@{socket}"
        try:
            wait_until_ready(process, folder, url)
            client = client_from_url(url)
            redis_version = client.info("server")["redis_version"]
            modules = cast(list[dict[bytes, Any]], client.module_list())
            client.close()
        finally:
            end_process(process, STOP_TIMEOUT)
    loaded = ", ".join(sorted(f"{module[b'name'].decode()} {module[b'ver']}" for module in modules))
    return Finding("redis-server", "ok", f"{redis_version} at {binaries.redis_server}, loads {loaded}")


def _server_answers() -> Finding:
    """Check the server that REDIS_URL names."""
    from rededge_nb.addresses import shown_address
    from rededge_nb.connection import connect
    from rededge_nb.monitoring.status import server_status

    url = str(settings.redis_url())
    connect().close()
    facts = server_status(url, None)
    found = f"{shown_address(url)} answers: Redis {facts['redis_version']} with all modules"
    return _from_status(facts, "REDIS_URL", found)


def _onnxruntime() -> Finding:
    settings.disable_telemetry()
    runtime = importlib.import_module("onnxruntime")
    return Finding("onnxruntime", "ok", f"{runtime.__version__}, {', '.join(runtime.get_available_providers())}")


def _cuda() -> Finding:
    """Load the default model on the first GPU, if the package for that is installed."""
    from rededge_nb import assets
    from rededge_nb.control.models import load_card
    from rededge_nb.edge.ai.backends import cuda, onnx
    from rededge_nb.edge.switchboard.calls import CommandError

    installed = cuda.installed()
    if installed is None:
        return Finding("cuda", "ok", f"not installed; needed for ONNX models on a GPU of NVIDIA: {cuda.INSTALL}")
    try:
        onnx.load(load_card(assets.model_card_file()).read(), device="GPU:0", threads=1)
    except CommandError as error:
        reason = str(error).partition(": ")[2] or str(error)
        return Finding("cuda", "warn", f"{cuda.GPU_PACKAGE} {installed} cannot use a GPU", reason)
    return Finding("cuda", "ok", f"{cuda.GPU_PACKAGE} {installed} runs models on cuda:0")


def _opencv() -> Finding:
    cv2 = importlib.import_module("cv2")
    ffmpeg = any("FFMPEG" in line and "YES" in line for line in cv2.getBuildInformation().splitlines())
    if ffmpeg:
        return Finding("opencv", "ok", f"{cv2.__version__} with FFmpeg")
    advice = "it cannot read video files or RTSP: pip install opencv-python-headless"
    return Finding("opencv", "warn", f"{cv2.__version__} without FFmpeg", advice)


def _optional(package: str, purpose: str, advice: str) -> Finding:
    try:
        return Finding(package, "ok", version(package))
    except PackageNotFoundError:
        return Finding(package, "ok", f"not installed; needed for {purpose}: {advice}")


def _webcams() -> Finding:
    found = webcams()
    if not found:
        return Finding("webcams", "ok", "none; you can still capture video files, images and network cameras")
    texts = [f"{camera.index}: {camera.name or camera.problem}" for camera in found]
    if all(camera.problem for camera in found):
        return Finding(
            "webcams", "warn", ", ".join(texts), "add yourself to the group video: sudo usermod -aG video $USER"
        )
    return Finding("webcams", "ok", ", ".join(texts))


def _ports() -> Finding:
    from rededge_nb.edge.server.redis_server import free_port, port_is_free

    free_port()
    if port_is_free(WEB_PORT):
        return Finding("ports", "ok", f"listening on 127.0.0.1 works, port {WEB_PORT} (rededge web) is free")
    return Finding(
        "ports", "warn", f"127.0.0.1:{WEB_PORT} is in use, perhaps by `rededge web`", "if not: rededge web --port N"
    )


def _state_folder(folder: Path) -> Finding:
    from rededge_nb.edge.server.state import StateFolder

    StateFolder(folder).create()
    with tempfile.TemporaryFile(dir=folder):
        pass
    return Finding("state folder", "ok", str(folder))


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return _enough("disk", free, DISK_WARN, DISK_FAIL, "free some space, or set REDEDGE_DIR to another disk")


def _memory() -> Finding:
    free = _free_memory()
    if free is None:
        return Finding("memory", "ok", "unknown on this platform")
    return _enough("memory", free, MEMORY_WARN, MEMORY_FAIL, "close programs that you do not need")


def _enough(name: str, free: float, warn: float, fail: float, advice: str) -> Finding:
    found = f"{free / GIGABYTE:.1f} GB free"
    if free >= warn:
        return Finding(name, "ok", found)
    return Finding(name, "warn" if free >= fail else "fail", found, advice)


def _free_memory() -> int | None:
    """Bytes that this process can still use, of the machine and of its container or service."""
    bounds = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        bounds.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for limit in limit_files():
        used = limit.with_name("memory.current" if limit.name == "memory.max" else "memory.usage_in_bytes")
        with contextlib.suppress(OSError, ValueError):  # no such control group, or its limit is `max`
            bounds.append(int(limit.read_text()) - int(used.read_text()))
    return min(bounds, default=None)


def _instance(folder: Path) -> Finding:
    from rededge_nb.edge.server.state import StateFolder
    from rededge_nb.monitoring.hooked import described
    from rededge_nb.monitoring.status import server_status

    instance = StateFolder(folder).running()
    if instance is None:
        return Finding("instance", "ok", "not running; `rededge up --detach` starts it")
    facts = server_status(instance.url, instance)
    hooks = f"; commands with hooks: {described(facts['hooks'])}" if facts["hooks"] else ""
    found = f"answers on port {facts['port']}, memory {facts['memory_mb']} MB{hooks}"
    return _from_status(facts, "instance", found)


def _url_of_instance(folder: Path) -> str | None:
    from rededge_nb.edge.server.state import StateFolder

    instance = StateFolder(folder).running()
    return instance.url if instance else None


def _clock(url: str | None) -> Iterator[Finding]:
    """Check for time series with samples in the future: such a series refuses samples of the present."""
    import redis

    from rededge_nb.edge.client import client_from_url
    from rededge_nb.monitoring.status import ANSWER_TIMEOUT
    from rededge_nb.reading.series import ahead_of_the_clock

    if url is None:
        return
    client = client_from_url(url, timeout=ANSWER_TIMEOUT)
    try:
        ahead = ahead_of_the_clock(client)
    except (redis.RedisError, RedEdgeError):
        return  # an earlier check has reported this
    finally:
        client.close()
    if not ahead:
        yield Finding("clock", "ok", "no time series is ahead of the clock")
        return
    camera, seconds = max(ahead.items(), key=lambda item: item[1])
    yield Finding(
        "clock",
        "warn",
        f"samples of camera {camera} are {seconds / 3600:.1f} hours in the future; cameras with such samples: "
        f"{len(ahead)}",
        "set the clock if it is late; if it was ahead before, delete the camera's series (keys camera:"
        f"{camera}:people and so on) and create new ones with `rededge init --camera {camera}`",
    )


def _from_status(facts: dict[str, Any], name: str, found: str) -> Finding:
    """Make a finding of what `server_status` reports for a server that answers."""
    from rededge_nb.monitoring.status import OK

    if facts["state"] == OK and facts["warnings"]:
        return Finding(name, "warn", "; ".join([found, *facts["warnings"]]), "each warning says what to do")
    if facts["state"] == OK:
        return Finding(name, "ok", found)
    return Finding(name, "fail", f"{found}; {facts['state']}", "see the logs in the state folder, and `rededge status`")
