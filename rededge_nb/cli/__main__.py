"""Makes `python -m rededge_nb.cli` the same as `rededge`."""

from __future__ import annotations

from rededge_nb.cli import main

main(prog_name="rededge")
