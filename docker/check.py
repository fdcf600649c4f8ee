"""`make docker-check`: builds every image and runs every service of docker-compose.yml, without Docker.

The images are built by docker/images.py. Each service then runs in its image's root, as the user that the compose file
names, with its command and its environment, until its health check succeeds there, in the order of `depends_on`.
All share this machine's network, so the ports of the compose file must be free.

Not covered, because only an engine can: networks, volumes, read-only roots, dropped capabilities; and Grafana, whose
image is not available here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import env
import yaml
from images import ROOT, Buildah, build, image_of

from rededge_nb import schema
from rededge_nb.edge.client import client_from_url

HEALTHY_TIMEOUT, RESULT_TIMEOUT = 180.0, 60.0
LEFT_OUT = {"grafana"}
Service = dict[str, Any]


def main() -> None:
    """Build, run, look, and end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Where images are kept; a second run takes them from there.")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    buildah = Buildah(folder)
    build(buildah)
    settings = {name: secrets.token_urlsafe(16) for name in env.SECRETS}
    services = yaml.safe_load(interpolated((ROOT / "docker-compose.yml").read_text(), settings))["services"]
    with contextlib.ExitStack() as running:
        for name in in_order(services):
            running.enter_context(started(buildah, name, services[name]))
        look(settings)
    print(f"all is well, after {time.monotonic() - began:.0f} s")


def interpolated(text: str, settings: dict[str, str]) -> str:
    """The compose file with `${NAME…}` replaced as docker compose does."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return settings[match[1]] if match[2] != ":-" else settings.get(match[1], match[3])

    return re.sub(r"\$\$|\$\{(\w+)(:[-?])?([^}]*)\}", value, text)


def in_order(services: dict[str, Service]) -> list[str]:
    """Names of the services, each after those that it depends on."""
    ordered: list[str] = []

    def add(name: str) -> None:
        for needed in services[name].get("depends_on", {}):
            add(needed)
        if name not in ordered:
            ordered.append(name)

    for name in services:
        if name not in LEFT_OUT:
            add(name)
    return ordered


@contextlib.contextmanager
def started(buildah: Buildah, name: str, service: Service) -> Iterator[None]:
    """A service, once it is healthy or has done what it had to."""
    began = time.monotonic()
    container = buildah("from", "--add-host", "redisedge:127.0.0.1", image_of(service["build"]["target"]))
    prepare(buildah, container, service)
    log = buildah.folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            inside(buildah, container, service, entrypoint(buildah, container) + service.get("command", [])),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_well(buildah, container, service, process, name, log)
        print(f"{name}: well after {time.monotonic() - began:.1f} s", flush=True)
        yield
    finally:
        end(process)
        buildah("rm", container)


def prepare(buildah: Buildah, container: str, service: Service) -> None:
    """Make the folders that the compose file keeps in memory, where the image has none."""
    for mount in service.get("tmpfs", []):
        path, _, options = mount.partition(":")
        wanted = dict(pair.split("=") for pair in options.split(",") if pair)
        if wanted:
            made = ["install", "-d", "-o", wanted["uid"], "-g", wanted["gid"], "-m", wanted["mode"], path]
            buildah("run", "--isolation", "chroot", "--user", "0:0", container, "--", *made)


def entrypoint(buildah: Buildah, container: str) -> list[str]:
    """That of the image, which `buildah run` passes over."""
    words = buildah("inspect", "--format", "{{range .OCIv1.Config.Entrypoint}}{{.}}\n{{end}}", container)
    return words.split()


def inside(buildah: Buildah, container: str, service: Service, words: list[str]) -> list[str]:
    """The command line that runs something in a service's container, as the service would."""
    environment = [f"--env={name}={value}" for name, value in service.get("environment", {}).items()]
    return buildah.command(
        "run", "--isolation", "chroot", "--user", service["user"], *environment, container, "--", *words
    )


def wait_until_well(
    buildah: Buildah, container: str, service: Service, process: subprocess.Popen[bytes], name: str, log: Path
) -> None:
    """Return when the health check succeeds; where there is none, when the service ended, or has said something."""
    deadline = time.monotonic() + HEALTHY_TIMEOUT
    once = service.get("restart") == "no"
    check = service.get("healthcheck", {}).get("test", [])
    words = ["sh", "-c", *check[1:]] if check[:1] == ["CMD-SHELL"] else check[1:]
    said = ""
    while time.monotonic() < deadline:
        ended = process.poll()
        if ended is not None and not (once and ended == 0):
            sys.exit(f"{name} ended with exit code {ended}:\n{log.read_text()[-3000:]}")
        if ended is not None or (not once and not words and log.stat().st_size):
            return
        if words:
            looked = subprocess.run(
                inside(buildah, container, service, words), check=False, capture_output=True, text=True
            )
            if looked.returncode == 0:
                return
            said = looked.stdout + looked.stderr
        time.sleep(0.5)
    sys.exit(f"{name} is not well after {HEALTHY_TIMEOUT:.0f} s: {said}\n{log.read_text()[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a service. buildah passes no signals on, so this kills."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def look(settings: dict[str, str]) -> None:
    """See that frames are counted, and that the pages answer to their tokens only."""
    client = client_from_url(f"redis://:{settings['REDIS_PASSWORD']}@127.0.0.1:6379")
    deadline = time.monotonic() + RESULT_TIMEOUT
    while not client.xlen(schema.detections_key("0")):
        if time.monotonic() > deadline:
            sys.exit(f"no frame was counted within {RESULT_TIMEOUT:.0f} s")
        time.sleep(0.2)
    print(f"Redis {client.info('server')['redis_version']}: frames are counted", flush=True)
    pages = {
        "http://127.0.0.1:5000/video?camera=0": f"token={settings['REDEDGE_WEB_TOKEN']}",
        "http://127.0.0.1:8888/api/contents?": f"token={settings['JUPYTER_TOKEN']}",
    }
    for address, token in pages.items():
        if status(address) not in {401, 403}:
            sys.exit(f"{address} was answered without its token")
        if status(f"{address}&{token}") != 200:
            sys.exit(f"{address} with its token was answered with {status(f'{address}&{token}')}")
        print(f"{address}: only with its token", flush=True)


def status(address: str) -> int:
    """HTTP status of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  on this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this has to run as root: debootstrap and chroot need it")
    main()
