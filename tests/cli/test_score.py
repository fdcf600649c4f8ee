"""`rededge score`: what it prints, and what it says about wrong files."""

from __future__ import annotations

import json
from pathlib import Path

import redis

from rededge_nb.edge.server.state import Instance
from tests.cli.running import rededge

TRUTH = "1,1,0,0,40,100,1,-1,-1,-1\n2,1,10,0,40,100,1,-1,-1,-1\n"


def test_a_camera_against_counts(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    counts = tmp_path / "counts.csv"
    counts.write_text("frame,people\n" + "".join(f"{frame},2\n" for frame in range(1, 11)))
    source = "synthetic:people=2,size=640x480,fps=10,seed=1"
    assert rededge("init").returncode == 0
    assert rededge("capture", source, "--frames", 10, "--pace", "asap").returncode == 0
    done = rededge("score", counts)
    assert done.returncode == 0, done.stderr
    names = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert names == ["frames scored", "frames not processed", "count error, people per frame", "count bias"]
    scores = json.loads(rededge("score", counts, "--json").stdout)
    assert scores["counts"]["frames"] == 10
    assert scores["counts"]["mae"] <= 2
    missing = rededge("score", counts, "--camera", "other")
    assert missing.returncode == 1
    assert "camera other has no detections" in missing.stderr


def test_a_file_against_boxes_needs_no_server(tmp_path: Path) -> None:
    truth, found = tmp_path / "gt.txt", tmp_path / "found.txt"
    truth.write_text(TRUTH)
    found.write_text(TRUTH.replace("2,1,", "2,5,"))
    done = rededge("score", truth, found, "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert {name: text.strip() for name, text in figures.items()} == {
        "frames scored": "2",
        "frames not processed": "0",
        "count error, people per frame": "0.00",
        "count bias": "+0.00",
        "recall": "1.000",
        "precision": "1.000",
        "AP": "1.000",
        "MOTA": "0.500",
        "IDF1": "0.500",
        "HOTA": "0.707",
        "identity switches": "1",
        "fragments": "0",
        "ids, for people": "2, for 1",
    }


def test_wrong_files_are_named(tmp_path: Path) -> None:
    truth, image = tmp_path / "gt.txt", tmp_path / "image.jpg"
    truth.write_text("1,1,0,0,40,100,1\n1,2,0,0,forty,100,1\n")
    image.write_bytes(b"\xff\xd8\xff\xe0")
    done = rededge("score", truth, truth)
    assert done.returncode == 1
    assert done.stderr == f"rededge: {truth}: line 2: the column width is 'forty': a number is needed\n"
    assert f"{image} is not text" in rededge("score", image, truth).stderr
    assert rededge("score", tmp_path / "none.txt").returncode == 2
