"""`rededge doctor` as a process."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.running import rededge


def test_each_line_begins_with_a_state_and_it_exits_with_0() -> None:
    done = rededge("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line[:4] in ("ok  ", "warn", "    ") for line in done.stdout.splitlines())
    assert "ok    redis-server  " in done.stdout


def test_it_exits_with_1_if_something_is_missing(folder: Path) -> None:
    broken = os.environ | {"REDEDGE_TIMESERIES_MODULE": "/no/such/module.so"}
    done = rededge("doctor", "--json", "--dir", folder, env=broken)
    assert done.returncode == 1
    (failed,) = [finding for finding in json.loads(done.stdout) if finding["state"] == "fail"]
    assert failed["name"] == "redis-server"
    assert "/no/such/module.so" in failed["found"]
