"""Redis clients and commands, as the whole package uses them."""

from rededge_nb.edge.client.commands import (
    CommandArgs,
    check,
    connection_of,
    even_if_full,
    in_transaction,
    max_value_bytes,
    next_reply,
    pairs,
    replies_to,
    send,
    transact,
)
from rededge_nb.edge.client.connecting import (
    COMMAND_TIMEOUT,
    RETRY_DELAY,
    blocking_client,
    client_from_url,
    client_like,
    close_connections,
    is_transient,
    server_errors,
    worker_client,
)

__all__ = [
    "COMMAND_TIMEOUT",
    "RETRY_DELAY",
    "CommandArgs",
    "blocking_client",
    "check",
    "client_from_url",
    "client_like",
    "close_connections",
    "connection_of",
    "even_if_full",
    "in_transaction",
    "is_transient",
    "max_value_bytes",
    "next_reply",
    "pairs",
    "replies_to",
    "send",
    "server_errors",
    "transact",
    "worker_client",
]
