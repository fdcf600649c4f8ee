"""The committed dashboards, as tests look at them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rededge_nb.reading.seen import midnight_ms
from tests.paths import TOP

FOLDER = TOP / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000}


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {found["name"]: found for found in dashboard["templating"]["list"] if found["type"] == kind}


def milliseconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()
    return int(number) * UNITS_MS[unit]


def time_range(dashboard: dict[str, Any], panel: dict[str, Any], now_ms: int) -> tuple[int, int]:
    """What a panel asks for, with its own `timeFrom` and `timeShift`."""
    end = now_ms - milliseconds(panel.get("timeShift", "0s"))
    if panel.get("timeFrom") == "now/d":
        return midnight_ms(now_ms), end
    length = milliseconds(panel.get("timeFrom") or dashboard["time"]["from"].removeprefix("now-"))
    return end - length, end
