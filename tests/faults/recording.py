"""`rededge` with a record of what a capture was told by the server.

    python -m tests.faults.recording RECORD capture SOURCE …

Each frame that the server has taken and the gear has not answered yet is a line `sent ENTRY_ID` in the file RECORD;
a frame that a killed server turned out to have lost, and that is sent again, is a line `lost ENTRY_ID`.
"""

from __future__ import annotations

import os
import sys

from rededge_nb.capture.answers import Answers
from rededge_nb.capture.sources import Captured
from rededge_nb.cli import main


def record_in(path: str) -> None:
    """Write down from now on what happens to the frames of this process."""
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    expect, recover = Answers.expect, Answers.recover

    def note(word: str, entry_id: str) -> None:
        os.write(record, f"{word} {entry_id}\n".encode())

    def recording_expect(self: Answers, entry_id: str, captured: Captured) -> None:
        note("sent", entry_id)
        expect(self, entry_id, captured)

    def recording_recover(self: Answers) -> list[Captured]:
        before = self.waiting
        lost = recover(self)
        for entry_id in before:
            if entry_id not in self.waiting:
                note("lost", entry_id)
        return lost

    Answers.expect = recording_expect  # type: ignore[method-assign]
    Answers.recover = recording_recover  # type: ignore[method-assign]


if __name__ == "__main__":
    record_in(sys.argv[1])
    sys.argv[1:] = sys.argv[2:]
    main()
