"""`rededge export`: files of a camera's counts, samples and paths."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from zoneinfo import ZoneInfo

import redis

from rededge_nb.analytics.samples import create_commands
from rededge_nb.edge.server.state import Instance
from rededge_nb.history.simulation import simulate, write_simulation
from rededge_nb.time_zones import moment_ms
from tests.cli.running import rededge

ZONE = ZoneInfo("Asia/Kolkata")


def test_files_and_output(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    visitors = simulate(moment_ms("2026-05-01", ZONE), 1, seed=2, zone=ZONE)
    write_simulation(client, "shop", visitors, step_s=60)
    words = ("export", "--camera", "shop", "--time-zone", "Asia/Kolkata")
    times = ("--from", "2026-05-01", "--to", "2026-05-02")
    done = rededge(*words, *times, "--every", "6h", "-o", "-")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["start"] for row in rows] == [f"2026-05-01T{hour:02}:00:00.000+05:30" for hour in (0, 6, 12, 18)]
    assert sum(float(row["seen"]) for row in rows) == len(visitors.times_ms)
    assert done.stderr == ""
    for command in create_commands("camera:shop", "too_few_frames"):
        client.execute_command(*command)
    # the first one is older than the samples that Redis keeps then: a minute's minimum remains
    for day, fps in (("01", 1.5), ("05", 2.5)):
        client.execute_command("TS.ADD", "camera:shop:too_few_frames", moment_ms(f"2026-05-{day}T13:00", ZONE), fps)
    client.execute_command("TS.ADD", "camera:shop:people", moment_ms("2026-05-05T13:00", ZONE), 1)
    done = rededge(*words, *times, "--every", "6h", "-o", "-")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["too_few_frames"] for row in rows] == ["", "", "1.5", ""]
    assert done.stderr.startswith(
        "not reliable: the model saw 1.5 frames a second while people moved, and 3.5 are needed"
    )
    path = tmp_path / "paths.parquet"
    done = rededge(*words, *times, "--what", "tracks", "-o", path)
    assert (done.returncode, done.stdout) == (0, f"{4 * len(visitors.times_ms)} rows in {path}\n"), done.stderr
    wrong = rededge(*words, "--from", "yesterday", "-o", tmp_path / "x.csv")
    assert wrong.returncode == 1
    assert "'yesterday' is not a time" in wrong.stderr
    assert rededge(*words, "-o", tmp_path / "x.xls").returncode == 1
    assert [each.name for each in tmp_path.iterdir()] == ["paths.parquet"]
