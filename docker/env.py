"""Writes `.env` with new passwords for docker compose; only its owner can read it. Existing passwords are kept."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

SECRETS = {
    "REDIS_PASSWORD": "Redis; programs on this machine use redis://:<password>@127.0.0.1:6379; no service uses it",
    "REDIS_CAPTURE_PASSWORD": "The user capture of Redis, who can only write frames",
    "REDIS_CLIPS_PASSWORD": "The user clips of Redis, who can only read events and frames",
    "REDIS_GRAFANA_PASSWORD": "The user grafana of Redis, who can only read what the dashboards show",
    "REDIS_INIT_PASSWORD": "The user init of Redis, who can store models and register gears",
    "REDIS_LAB_PASSWORD": "The user lab of Redis, who may do the same; the scheduler uses it, too",
    "REDIS_NOTEBOOK_PASSWORD": "The user notebook of Redis, for your own notebooks",
    "REDIS_NOTIFIER_PASSWORD": "The user notifier of Redis, who can only read events and note what was sent",
    "REDIS_VIEWER_PASSWORD": "The user viewer of Redis, who can only read; the web server uses it",
    "REDIS_WORKER_PASSWORD": "The user worker of Redis, who answers AI.* and RG.*",
    "GRAFANA_PASSWORD": "The user admin of Grafana; used at its first start only",
    "REDEDGE_WEB_TOKEN": "The web server: http://127.0.0.1:5000/?token=<token>",
    "JUPYTER_TOKEN": "JupyterLab: http://127.0.0.1:8888/lab?token=<token>",
}


def lines(names: Iterable[str]) -> list[str]:
    """New secrets, each with a comment."""
    return [f"# {SECRETS[name]}\n{name}={secrets.token_urlsafe(32)}\n" for name in names]


def main(path: Path) -> None:
    """Write the file. Secrets that an existing file has are not changed; those of newer versions are added."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text()
        missing = [name for name in SECRETS if not re.search(rf"^\s*(export\s+)?{name}\s*=", text, re.MULTILINE)]
        if not missing:
            print(f"{path} exists already and is not changed")
            return
        path.chmod(0o600)
        with path.open("a") as stream:
            stream.write("".join(["" if text.endswith("\n") or not text else "\n", *lines(missing)]))
        print(f"added to {path}: {', '.join(missing)}")
        return
    with os.fdopen(descriptor, "w") as stream:
        stream.write("# Written by `make env` for docker-compose.yml; docs/deploy.md lists the other settings.\n")
        stream.write("".join(lines(SECRETS)))
    print(f"wrote {path} with new passwords")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
