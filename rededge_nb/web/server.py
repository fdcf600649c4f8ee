"""Starting and stopping the web server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from rededge_nb import settings
from rededge_nb.clips.folder import clips_folder
from rededge_nb.edge.client import blocking_client, client_from_url
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ConfigurationError, ServerError
from rededge_nb.web import pages
from rededge_nb.web.access import EDIT_TOKEN_FILE, Access, token_for
from rededge_nb.web.api import CamerasHandler, DetectionsHandler, HealthHandler
from rededge_nb.web.connections import Listener
from rededge_nb.web.handlers import NotFound, PageHandler, Services, StaticFile
from rededge_nb.web.hub import Hub
from rededge_nb.web.metrics import MetricsHandler
from rededge_nb.web.sockets import LiveHandler
from rededge_nb.web.video import SnapshotHandler, VideoHandler

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5000

_THREADS = 4
_CHECK_INTERVAL = 10.0
_REQUEST_TIMEOUT = 10.0
"""Seconds for the headers of a request, since the previous one, and for its body."""
_CLOSE_TIMEOUT = 3.0
"""Seconds to wait for the threads of channels when the server stops; then it ends without them."""
_PING_INTERVAL = 20.0
_MAX_INPUT = 65_536
"""Bytes of a request or a WebSocket message: all that are needed are short."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """The address of a web server that is ready.

    Attributes:
        url: Address of its page, without the token.
        token: The token that requests must have.
        token_is_new: Whether the token was created just now.
        edit_token: The token of those who may change lines and zones; None if nobody may.
    """

    url: str
    token: str
    token_is_new: bool
    edit_token: str | None = None

    @property
    def link(self) -> str:
        """The page's address with the token in it, for a browser to open."""
        return f"{self.url}?token={self.token}"

    @property
    def edit_link(self) -> str | None:
        """The same with the token of those who may change lines and zones."""
        return None if self.edit_token is None else f"{self.url}?token={self.edit_token}"


class WebServer:
    """A web server in a thread of its own; a context manager.

    Args:
        url: Address of the Redis server. It need not answer yet.
        host: Address or name to listen at.
        port: TCP port; 0 takes a free one.
        token: Token that every request but `/healthz` must have. None: REDEDGE_WEB_TOKEN, else the one in the state
            folder, which is created at the first start.
        directory: State folder, instead of REDEDGE_DIR or the user's own.
        edit: Whether there is a second token, for those who may change lines and zones on the page.

    Attributes:
        port: TCP port at which it listens.

    Raises:
        ConfigurationError: `url` is not a Redis address, `host` or `port` cannot be used, or `token` is too short.
        ServerError: the token cannot be written to the state folder.
    """

    def __init__(
        self,
        url: str,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        token: str | None = None,
        directory: Path | None = None,
        edit: bool = False,
    ) -> None:
        self._resources = contextlib.ExitStack()
        self._client = client_from_url(url, name="rededge-web")
        self._resources.callback(self._client.close)
        self._socket = self._resources.enter_context(_bind(host, port))
        folder = StateFolder(directory or settings.state_dir())
        self._clips = clips_folder(folder.path)
        try:
            self._token = token_for(token or settings.web_token(), folder)
            self._edit_token = token_for(None, folder, EDIT_TOKEN_FILE).value if edit else None
        except BaseException:
            self._resources.close()
            raise
        self.port = int(self._socket.getsockname()[1])
        self._failure: Exception | None = None
        self._address = str(self._socket.getsockname()[0])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rededge web", daemon=True)

    @property
    def ready(self) -> Ready:
        """Address and token."""
        everywhere = self._address in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        name = socket.gethostname() if everywhere else self._address
        shown = f"[{name}]" if ":" in name else name
        return Ready(f"http://{shown}:{self.port}/", self._token.value, self._token.is_new, self._edit_token)

    def start(self) -> Ready:
        """Start to serve; returns when the server is ready."""
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            raise ServerError(f"the web server could not start: {self._failure!r}") from self._failure
        return self.ready

    def close(self) -> None:
        """Close all connections and end the thread; may be called again. It takes some seconds at most."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._resources.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  `start` raises it
            self._failure = error
            _log.exception("the web server has ended")
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        hub = Hub(self._client)
        access = Access(self._token.value, self.port, self._edit_token)
        pool = ThreadPoolExecutor(_THREADS, "rededge web redis")
        with blocking_client(self._client) as client:
            server = HTTPServer(
                _application(Services(access, hub, client, pool, self._clips)),
                idle_connection_timeout=_REQUEST_TIMEOUT,
                body_timeout=_REQUEST_TIMEOUT,
                max_body_size=_MAX_INPUT,
                max_header_size=_MAX_INPUT,
            )
            listener = Listener(self._socket, server, buffer_size=2 * _MAX_INPUT)
            self._listening.set()
            while not self._stop.is_set():
                hub.drop_stalled()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _CHECK_INTERVAL)
            listener.stop()
            await hub.close(timeout=_CLOSE_TIMEOUT)
            listener.close()
            # not waited for: a thread of the pool may wait for a Redis that hangs; closing the client interrupts it
            pool.shutdown(wait=False, cancel_futures=True)


def run(
    url: str,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    token: str | None = None,
    directory: Path | None = None,
    edit: bool = False,
    on_ready: Callable[[Ready], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the video of all cameras until `stop` is set.

    Redis need not answer yet: the video shows that, and continues by itself when it does.

    Args:
        url: Address of the Redis server.
        host: Address or name to listen at.
        port: TCP port; 0 takes a free one.
        token: Token that every request but `/healthz` must have. None: REDEDGE_WEB_TOKEN, else the one in the state
            folder, which is created at the first start.
        directory: State folder, instead of REDEDGE_DIR or the user's own.
        edit: Whether there is a second token, for those who may change lines and zones on the page.
        on_ready: Is called once when the server is ready.
        stop: Setting it ends the server. None: it runs for ever.

    Raises:
        ConfigurationError: `url` is not a Redis address, `host` or `port` cannot be used, or `token` is too short.
        ServerError: the token cannot be written to the state folder.
    """
    with WebServer(url, host=host, port=port, token=token, directory=directory, edit=edit) as server:
        if on_ready is not None:
            on_ready(server.ready)
        (stop or threading.Event()).wait()


def routes(services: Services) -> dict[str, tuple[type[RequestHandler], dict[str, Any]]]:
    """Handler and arguments by path, without its first slash; the files of the page are among them."""
    return {
        "": (PageHandler, pages.page().arguments(services)),
        "live": (LiveHandler, {"services": services}),
        "video": (VideoHandler, {"services": services}),
        "snapshot.jpg": (SnapshotHandler, {"services": services}),
        "api/cameras": (CamerasHandler, {"services": services}),
        "api/detections": (DetectionsHandler, {"services": services}),
        "metrics": (MetricsHandler, {"services": services}),
        "healthz": (HealthHandler, {"services": services}),
        **{path: (StaticFile, served.arguments(services)) for path, served in pages.files().items()},
    }


def _application(services: Services) -> Application:
    return Application(
        [(f"/{re.escape(path)}", handler, arguments) for path, (handler, arguments) in routes(services).items()],
        default_handler_class=NotFound,
        default_handler_args={"services": services},
        log_function=_log_request,
        websocket_max_message_size=_MAX_INPUT,
        websocket_ping_interval=_PING_INTERVAL,
        websocket_ping_timeout=_PING_INTERVAL,
    )


def _log_request(handler: RequestHandler) -> None:
    """Log a request without its query, which may contain the token."""
    request = handler.request
    _log.debug("%d %s %s %s", handler.get_status(), request.method, request.path, request.remote_ip)


def _bind(host: str, port: int) -> socket.socket:
    try:
        bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigurationError(
            f"the web server cannot listen at {host} port {port} ({error}): choose another port (0 for any free one) "
            "or host"
        ) from error
    bound.setblocking(False)
    return bound
