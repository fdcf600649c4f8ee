"""Errors of backends as clients get them."""

from __future__ import annotations

import pytest

from rededge_nb.edge.ai.backends import command_error

STACK = "\n\nAt:\n  /srv/venv/rededge_nb/edge/script_calls.py(54): call\n  /srv/my files (2)/queues.py(7): <listcomp>\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("boom", "boom"),
        ("", "RuntimeError"),
        (f"RuntimeError: no such key{STACK}", "RuntimeError: no such key"),
        (f"outer: inner{STACK}again{STACK}", "outer: inneragain"),
        ("At: the end", "At: the end"),
    ],
)
def test_paths_of_the_server_are_left_out(text: str, shown: str) -> None:
    assert str(command_error(RuntimeError(text))) == shown
