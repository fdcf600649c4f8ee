"""`python -m rededge_nb.cli` is `rededge`."""

from __future__ import annotations

from rededge_nb.cli import main

main(prog_name="rededge")
