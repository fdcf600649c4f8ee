"""Half a minute of a soak; `make soak` takes half an hour, and then looks at memory and latencies, too."""

from __future__ import annotations

from tests.faults.soak import run

SECONDS = 30.0
SPARE = 8


def test_neither_files_nor_threads_grow() -> None:
    lines, broken = run(SECONDS, spare=SPARE)
    assert [what for what in broken if what.startswith(("files", "threads"))] == [], "\n".join(lines)
    assert "4 cameras at" in lines[0]
