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
"""The version of Grafana 11. A newer Grafana converts it when it loads the dashboard."""


def as_json(dashboard: Dashboard) -> str:
    """Format a dashboard as a file, with numbered panels and without an id."""
    model = dashboard.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number
    model.schema_version = SCHEMA_VERSION
    model.editable = True
    return json.dumps(model, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def files() -> dict[Path, str]:
    """The file of each dashboard, and its content."""
    return {
        FOLDER / "video-stream-analytics.json": as_json(video_dashboard()),
        FOLDER / "redis.json": as_json(redis_dashboard()),
    }


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
