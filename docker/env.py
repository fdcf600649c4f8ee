"""Writes `.env` with new passwords for docker compose; only its owner can read it. An existing file is not changed."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

SECRETS = {
    "REDIS_PASSWORD": "Redis; programs on this machine use redis://:<password>@127.0.0.1:6379",
    "REDIS_VIEWER_PASSWORD": "The user viewer of Redis, who can only read; the web server uses it",
    "GRAFANA_PASSWORD": "The user admin of Grafana; used at its first start only",
    "REDEDGE_WEB_TOKEN": "The web server: http://127.0.0.1:5000/?token=<token>",
    "JUPYTER_TOKEN": "JupyterLab: http://127.0.0.1:8888/lab?token=<token>",
}


def text() -> str:
    """The content of the file, with a comment for each secret."""
    lines = [f"# {what}\n{name}={secrets.token_urlsafe(32)}" for name, what in SECRETS.items()]
    return "\n".join(
        ["# Written by `make env` for docker-compose.yml; docs/deploy.md lists the other settings.", *lines, ""]
    )


def main(path: Path) -> None:
    """Write the file, unless it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{path} exists already and is not changed")
        return
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text())
    print(f"wrote {path} with new passwords")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
