"""Writes the dashboards' JSON, which Grafana reads: `python -m grafana.build`."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.redis_server import redis_dashboard
from grafana.video import video_dashboard

FOLDER = Path(__file__).parent / "dashboards"
SCHEMA_VERSION = 39
"""That of Grafana 11: newer ones bring it up to date when they load it."""


def as_json(dashboard: Dashboard) -> str:
    """The dashboard as a file: its panels numbered, no id of its own."""
    model = dashboard.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number
    model.schema_version = SCHEMA_VERSION
    model.editable = True
    return json.dumps(model, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def files() -> dict[Path, str]:
    """Every dashboard's file, and what belongs in it."""
    return {
        FOLDER / "video-stream-analytics.json": as_json(video_dashboard()),
        FOLDER / "redis.json": as_json(redis_dashboard()),
    }


def main() -> None:
    """Write them."""
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
