"""Ten seconds of a soak; `make soak` takes half an hour, and then looks at memory, latencies and file sizes, too."""

from __future__ import annotations

from tests.faults.soak import run

SECONDS = 10.0
SPARE = 12
JUDGED = ("files", "threads", "connections", "no visit", "a visit", "was started again")


def test_neither_files_nor_threads_nor_connections_grow() -> None:
    lines, broken = run(SECONDS, spare=SPARE)
    assert [what for what in broken if any(word in what for word in JUDGED)] == [], "\n".join(lines)
    assert "4 cameras at" in lines[0]
