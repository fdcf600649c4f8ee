"""Writes `.env` with new passwords for docker compose, readable by its owner alone; one that is there stays."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

SECRETS = {
    "REDIS_PASSWORD": "of Redis; programs on this machine use redis://:<it>@127.0.0.1:6379",
    "REDIS_VIEWER_PASSWORD": "of Redis' user viewer, who may only look: what the web server uses",
    "GRAFANA_PASSWORD": "of Grafana's user admin; taken at its first start only",
    "REDEDGE_WEB_TOKEN": "of the web server: http://127.0.0.1:5000/?token=<it>",
    "JUPYTER_TOKEN": "of JupyterLab: http://127.0.0.1:8888/lab?token=<it>",
}


def text() -> str:
    """The file, with a line of explanation for each secret."""
    lines = [f"# {what}\n{name}={secrets.token_urlsafe(32)}" for name, what in SECRETS.items()]
    return "\n".join(
        ["# Made by `make env` for docker-compose.yml; docs/deploy.md tells what else may stand here.", *lines, ""]
    )


def main(path: Path) -> None:
    """Write it, unless it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{path} is there already: left as it is")
        return
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text())
    print(f"wrote {path} with new passwords")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
