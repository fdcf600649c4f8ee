"""Redis clients as this package uses them everywhere."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rededge_nb.edge.packing import Packer

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection."""
MAX_CONNECTIONS = 2_000
"""Connections that a client may have at once: far more than threads, far fewer than a server takes.

redis-py's own limit of 100 is an error to whoever comes next, a sign of life among them.
"""


def client_from_url(
    url: str, *, db: int | None = None, name: str | None = None, timeout: float | None = None
) -> redis.Redis:
    """A client with bytes replies that speaks RESP2, waits as long as a command takes, and never repeats one.

    redis-py's own defaults would end blocking calls after 5 s, send a command again after a broken connection
    (a second XADD), and lose parts of TS.INFO under RESP3.

    Args:
        url: address of the server.
        db: database, instead of the one in the address.
        name: what CLIENT LIST shows.
        timeout: seconds to wait for a reply; without it a server that hangs is waited for.
    """
    options: dict[str, object] = {} if db is None else {"db": db}
    return redis.Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=timeout,
        socket_connect_timeout=CONNECT_TIMEOUT,
        max_connections=MAX_CONNECTIONS,
        retry=Retry(NoBackoff(), 0),
        client_name=name,
        command_packer=Packer(),
        **options,
    )
