"""Pages of their own, started from JupyterLab's launcher: the dashboard, served by voila, and the live video.

`jupyter-server-proxy` finds `dashboard` and `video` by their entry points, and starts each when it is asked for. In the
folder `page` lie voila's settings, which let the page ask its own server and nobody else, and its template.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from rededge_nb import assets, settings

NOTEBOOK = "06_dashboard.ipynb"
START_TIMEOUT = 60.0
"""Seconds that a page is given to begin."""

_PAGE = Path(__file__).with_name("page")
_VIDEO_ICON = assets.PACKAGE / "web" / "page" / "icon.svg"


def dashboard() -> dict[str, Any]:
    """What jupyter-server-proxy is told about the dashboard.

    The page is reachable from this machine alone, and there only with a token that nobody but the proxy knows: who may
    use the Jupyter server may use the page.
    """
    token = secrets.token_hex(32)
    return {
        "command": page_command("--port={port}", "--Voila.base_url={base_url}rededge/"),
        "environment": page_environment(token),
        "request_headers_override": {"Authorization": f"token {token}"},
        "timeout": START_TIMEOUT,
        "launcher_entry": {"title": "People dashboard", "icon_path": str(_PAGE / "icon.svg"), "category": "Other"},
    }


def video() -> dict[str, Any]:
    """What jupyter-server-proxy is told about the live video; it is guarded as the dashboard is."""
    token = secrets.token_urlsafe(32)
    return {
        "command": [sys.executable, "-P", "-m", "rededge_nb.web", "{port}"],
        "environment": {settings.WEB_TOKEN: token},
        "request_headers_override": {"Authorization": f"Bearer {token}"},
        "timeout": START_TIMEOUT,
        "launcher_entry": {"title": "Live video", "icon_path": str(_VIDEO_ICON), "category": "Other"},
    }


def page_command(*options: str) -> list[str]:
    """The command that serves the page on 127.0.0.1, with options for voila; it needs `page_environment` as well."""
    notebook = assets.folder("notebooks") / NOTEBOOK
    return [sys.executable, "-P", "-m", "voila", str(notebook), "--Voila.auto_token=True", *options]


def page_environment(token: str) -> dict[str, str]:
    """What to add to the environment of voila, so that it finds settings and template, and asks for this token."""
    return {
        "JUPYTER_TOKEN": token,
        "JUPYTER_PATH": _before("JUPYTER_PATH"),
        "JUPYTER_CONFIG_PATH": _before("JUPYTER_CONFIG_PATH"),
    }


def _before(variable: str) -> str:
    return os.pathsep.join(filter(None, (str(_PAGE), settings.environment_value(variable))))
