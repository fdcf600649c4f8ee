"""Statistics of registrations: counters, durations, lags, the last error."""

from __future__ import annotations

import time
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, key_names, pairs
from rededge_nb.edge.gears.chain.run import Outcome

ABSURD_LAG_MS = 365 * 24 * 3_600_000
"""If an entry is older, or this much in the future, its id is no time: somebody chose it, such as 1-0."""

CANNOT_RUN = "cannot run on worker"
"""How lastError begins where a registration could not be started; `rededge status` looks for it."""


def _key(client: redis.Redis, registration_id: str) -> str:
    return key_names.registration_keys(client, registration_id)["statistics"]


def count_outcome(
    client: redis.Redis,
    registration_id: str,
    outcome: Outcome,
    *,
    status: str = "OK",
    oldest_id: bytes | None = None,
) -> list[CommandArgs]:
    """The commands that count one execution.

    Args:
        client: A connection to the server.
        registration_id: Whose execution it was.
        outcome: How it ended.
        status: What RG.DUMPREGISTRATIONS shows as status from now on.
        oldest_id: The first entry of a batch that is acknowledged now; the lag is counted from it.
    """
    key = _key(client, registration_id)
    result = "aborted" if outcome.status == "aborted" else "failures" if outcome.errors else "success"
    amounts = [(result, 1), ("total_ms", outcome.milliseconds)]
    values: list[Any] = ["status", status, "last_ms", outcome.milliseconds]
    if result != "aborted":
        values += ["last_error", outcome.errors[0] if outcome.errors else ""]
    if oldest_id is not None and (lag := _lag_ms(oldest_id)) is not None:
        values += ["last_lag_ms", lag]
        amounts += [("total_lag_ms", lag), ("lags", 1)]
    return [*(("HINCRBY", key, name, amount) for name, amount in amounts if amount), ("HSET", key, *values)]


def report_cannot_run(client: redis.Redis, registration_id: str, worker_id: str, reason: str) -> None:
    """Show in lastError why a worker cannot run a registration."""
    report(client, registration_id, f"{CANNOT_RUN} {worker_id}: {reason}")


def forget_cannot_run(client: redis.Redis, registration_id: str) -> None:
    """Remove from lastError why a registration could not run; any other error stays."""
    key = _key(client, registration_id)
    if (client.execute_command("HGET", key, "last_error") or b"").startswith(CANNOT_RUN.encode()):
        client.execute_command("HDEL", key, "last_error")


def report(client: redis.Redis, registration_id: str, reason: str) -> None:
    """Show in lastError why a registration cannot run."""
    client.execute_command("HSET", _key(client, registration_id), "last_error", reason)


def queue_read(pipeline: Any, registration_id: str) -> None:
    """Add the command that reads a registration's statistics to a pipeline."""
    pipeline.execute_command("HGETALL", _key(pipeline, registration_id))


def clear(client: redis.Redis, registration_ids: list[str]) -> None:
    """Set all counters to zero; the status stays."""
    pipeline = client.pipeline(transaction=True)
    for registration_id in registration_ids:
        pipeline.execute_command(
            "HDEL", _key(client, registration_id), "success", "failures", "aborted", "last_ms", "total_ms",
            "last_lag_ms", "total_lag_ms", "lags", "last_error",
        )  # fmt: skip
    pipeline.execute()


def describe(flat: list[bytes], *, reader: str, in_flight: int) -> tuple[list[object], list[object]]:
    """The numbers as RG.DUMPREGISTRATIONS shows them, and the status, which only streams have, after the arguments."""
    statistics = pairs(flat)

    def number(name: bytes) -> int:
        return int(statistics.get(name, 0))

    runs = number(b"success") + number(b"failures") + number(b"aborted")
    numbers: list[object] = [
        "numTriggered", runs + in_flight,
        "numSuccess", number(b"success"),
        "numFailures", number(b"failures"),
        "numAborted", number(b"aborted"),
        "lastRunDurationMS", number(b"last_ms"),
        "totalRunDurationMS", number(b"total_ms"),
        "avgRunDurationMS", _average(number(b"total_ms"), runs),
    ]  # fmt: skip
    if reader == "StreamReader":
        numbers += ["lastEstimatedLagMS", number(b"last_lag_ms")]
        numbers += ["avgEstimatedLagMS", _average(number(b"total_lag_ms"), number(b"lags"))]
    numbers += ["lastError", statistics.get(b"last_error") or None]
    return numbers, ["status", statistics.get(b"status", b"OK")] if reader == "StreamReader" else []


def _lag_ms(entry_id: bytes) -> int | None:
    """The age of an entry by its id; None if the id is no time; 0 if it is from a clock that is ahead of ours."""
    age = int(time.time() * 1000) - int(entry_id.split(b"-")[0])
    return max(0, age) if abs(age) < ABSURD_LAG_MS else None


def _average(total: int, count: int) -> str:
    return f"{total / count:.17g}" if count else "0"
