"""The pages that JupyterLab's launcher offers: the dashboard, served by voila, and the live video.

`jupyter-server-proxy` finds the functions `dashboard` and `video` by their entry points. It starts a page when somebody
opens it, and watched_page.py starts it again if it hangs. The folder `page` has voila's template and its settings;
these allow the page to contact only its own server.

Both pages listen on the loopback interface, and other accounts of this computer can reach that. So each page has a
token that only the proxy knows: who may use the Jupyter server may use the page, and nobody else.
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
"""Seconds to wait for the start of a page."""

# JupyterLab shows the icons of the categories Notebook and Console only
_CATEGORY = "Notebook"
_LAB_CONFIG = Path(__file__).with_name("lab_config")
_PAGE = Path(__file__).with_name("page")
_WATCHED = (sys.executable, "-P", "-m", "rededge_nb.jupyter.watched_page")
_VIDEO_ICON = assets.PACKAGE / "web" / "page" / "icon.svg"


def dashboard() -> dict[str, Any]:
    """The dashboard, as jupyter-server-proxy needs to know it."""
    token = secrets.token_hex(32)
    return {
        "command": [*_WATCHED, "dashboard", "{port}", "{base_url}rededge/"],
        "environment": page_environment(token),
        "request_headers_override": {"Authorization": f"token {token}"},
        "timeout": START_TIMEOUT,
        "launcher_entry": {"title": "People dashboard", "icon_path": str(_PAGE / "icon.svg"), "category": _CATEGORY},
    }


def video() -> dict[str, Any]:
    """The live video, as jupyter-server-proxy needs to know it."""
    token = secrets.token_urlsafe(32)
    return {
        "command": [*_WATCHED, "video", "{port}", "/"],
        "environment": {settings.WEB_TOKEN: token},
        "request_headers_override": {"Authorization": f"Bearer {token}"},
        "timeout": START_TIMEOUT,
        "launcher_entry": {"title": "Live video", "icon_path": str(_VIDEO_ICON), "category": _CATEGORY},
    }


def dashboard_notebook() -> Path:
    """Our dashboard."""
    return assets.folder("notebooks") / NOTEBOOK


def page_command(*options: str, notebook: Path | None = None, with_text: bool = False) -> list[str]:
    """The command that serves the dashboard on 127.0.0.1. It needs `page_environment`, too.

    Args:
        options: Options of voila.
        notebook: What is shown; default: our dashboard.
        with_text: Show the notebook's text, too, as a user's own notebook needs it.
    """
    if with_text:
        options += ("--template=lab",)
    notebook = notebook or dashboard_notebook()
    identity = "--Voila.identity_provider_class=rededge_nb.jupyter.page_identity.HeaderFirst"
    return [sys.executable, "-P", "-m", "voila", str(notebook), "--Voila.auto_token=True", identity, *options]


def page_environment(token: str) -> dict[str, str]:
    """Environment variables for voila: where its settings and template are, and the token that it asks for."""
    return {
        "JUPYTER_TOKEN": token,
        "JUPYTER_PATH": _with_folder(_PAGE, "JUPYTER_PATH"),
        "JUPYTER_CONFIG_PATH": _with_folder(_PAGE, "JUPYTER_CONFIG_PATH"),
    }


def lab_environment() -> dict[str, str]:
    """Environment variables for JupyterLab: it does not ask about news, which it would fetch from its web site."""
    return {"JUPYTER_CONFIG_PATH": _with_folder(_LAB_CONFIG, "JUPYTER_CONFIG_PATH")}


def _with_folder(folder: Path, variable: str) -> str:
    return os.pathsep.join(filter(None, (str(folder), settings.environment_value(variable))))
