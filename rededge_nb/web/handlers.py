"""What all request handlers have in common: access, headers, errors as one line of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import redis
from tornado.web import HTTPError, RequestHandler

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError, RedEdgeError, ServerUnavailableError
from rededge_nb.web.access import SECURITY_HEADERS, Access
from rededge_nb.web.connections import admit
from rededge_nb.web.hub import Hub

ANSWER_TIMEOUT = 8.0
"""Seconds to wait for an answer of Redis."""
MAX_WAITING = 64
"""At most so many requests wait for Redis at a time."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass
class Services:
    """The objects that handlers use.

    Attributes:
        client: For short commands, in threads of `pool`.
        clips: Folder of the clips that rules have asked for.
        waiting: Number of requests that wait for Redis now.
    """

    access: Access
    hub: Hub
    client: redis.Redis
    pool: ThreadPoolExecutor
    clips: Path
    waiting: int = 0


class Handler(RequestHandler):
    """Answers GET and HEAD requests that have access."""

    open_to_all = False

    def initialize(self, services: Services) -> None:
        """Called by Tornado."""
        self.services = services

    def set_default_headers(self) -> None:
        """Called by Tornado."""
        self.clear_header("Server")
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse requests without access before anything else is read."""
        if self.open_to_all:
            return
        if not self.services.access.allows(self.request):
            self.set_header("WWW-Authenticate", "Bearer")
            self.refuse(
                HTTPStatus.UNAUTHORIZED,
                "a token is needed: open the link that `rededge web` prints, or send the header "
                "Authorization: Bearer TOKEN",
            )
            return
        admit(self.request)
        if self.services.access.has_query(self.request):
            # whoever has put the token into the address wants to use it on that page
            self.set_header("Cross-Origin-Resource-Policy", "cross-origin")

    def compute_etag(self) -> None:
        """Called by Tornado: nothing may be cached, so no tag is needed."""

    async def head(self) -> None:
        """The same as GET; Tornado omits the body."""
        await self.get()

    async def get(self) -> None:
        """Answer the request."""
        raise HTTPError(405)

    def refuse(self, status: int, reason: str) -> None:
        """Answer with an error as one line of JSON."""
        self.set_status(status)
        self.answer({"error": reason})

    def answer(self, content: Any) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(content, allow_nan=False) + "\n")

    def camera(self) -> str:
        """The camera in the query; 0 if there is none.

        Raises:
            HTTPError: it is not a valid id.
        """
        return self.checked(schema.camera_id, self.argument("camera", "0"))

    def argument(self, name: str, otherwise: str) -> str:
        """The last value of a query argument.

        Raises:
            HTTPError: it is not valid text.
        """
        return str(self.get_query_argument(name, otherwise))

    def checked(self, check: Callable[[str], _T], value: str) -> _T:
        """Return `check(value)`; its error becomes an answer with status 400."""
        try:
            return check(value)
        except ConfigurationError as error:
            raise HTTPError(400, "%s", str(error)) from error

    async def from_redis(self, read: Callable[[redis.Redis], _T]) -> _T:
        """Return what a function reads from Redis; it runs in a thread.

        Raises:
            HTTPError: Redis does not answer, or answers with an error.
        """
        services = self.services
        if services.waiting >= MAX_WAITING:
            raise HTTPError(503, "too many requests wait for Redis: try again later")
        services.waiting += 1
        reading = asyncio.get_running_loop().run_in_executor(services.pool, read, services.client)
        reading.add_done_callback(lambda _: setattr(services, "waiting", services.waiting - 1))
        try:
            return await asyncio.wait_for(reading, ANSWER_TIMEOUT)
        except (TimeoutError, redis.ConnectionError, redis.TimeoutError, ServerUnavailableError) as error:
            raise HTTPError(503, "the Redis server does not answer: see whether it runs") from error
        except (RedEdgeError, redis.RedisError) as error:
            raise HTTPError(502, "%s", f"the Redis server answers with an error: {error}") from error

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Called by Tornado for every error. The answer has no details of the program."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        reason = HTTPStatus(status_code).phrase
        if isinstance(error, HTTPError) and error.log_message and error.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            reason = error.get_message() or reason
        self.refuse(status_code, reason)

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Called by Tornado. The query is not logged, because it may contain the token."""
        if not isinstance(value, HTTPError):
            _log.error("%s %s failed", self.request.method, self.request.path, exc_info=(kind, value, trace))


class NotFound(Handler):
    """Answers all other paths."""

    def prepare(self) -> None:
        """Refuse the request."""
        super().prepare()
        if not self._finished:
            self.refuse(404, "there is nothing at this path: see /")


class StaticFile(Handler):
    """One of the files of the page."""

    def initialize(self, services: Services, content: bytes = b"", kind: str = "") -> None:
        """Called by Tornado."""
        super().initialize(services)
        self._content = content
        self._kind = kind

    async def get(self) -> None:
        """Answer with the file."""
        self.set_header("Content-Type", self._kind)
        self.finish(self._content)


class PageHandler(StaticFile):
    """The page. A token in its address is moved to a cookie, so that it does not stay in the address bar."""

    async def get(self) -> None:
        """Answer with the page, or redirect to the address without the token."""
        access = self.services.access
        camera = self.camera()
        if not access.has_query(self.request):
            await super().get()
            return
        secure = self.request.headers.get("X-Forwarded-Proto", self.request.protocol) == "https"
        self.set_cookie(
            access.cookie_name, str(access.token_of(self.request)), httponly=True, samesite="Strict", secure=secure
        )
        self.set_status(303)
        query = self.request.query_arguments
        kept = {name: value for name, value in (("camera", camera), ("view", "all")) if name in query}
        self.set_header("Location", "./" + (f"?{urlencode(kept)}" if kept else ""))
        self.finish()
