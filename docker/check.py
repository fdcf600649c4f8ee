"""`make docker-check`: builds every image and runs every service of docker-compose.yml, without Docker.

The images are built by docker/images.py. Each service then runs in its image's root, as the user that the compose file
names, with its command and its environment, until its health check succeeds there, in the order of `depends_on`.
All use this machine's network, so the ports of the compose file must be free.

This does not cover networks, volumes, read-only root file systems and dropped capabilities, which need a container
engine; nor Grafana, whose image is not available here.
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
SKIPPED = {"grafana"}
Service = dict[str, Any]


def main() -> None:
    """Build the images, run the services, check them, and end them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Folder for the images; a second run uses them again.")
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
        check_pages(settings)
    print(f"all checks passed after {time.monotonic() - began:.0f} s")


def interpolated(text: str, settings: dict[str, str]) -> str:
    """The compose file with `${NAME…}` replaced as docker compose does."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return settings[match[1]] if match[2] != ":-" else settings.get(match[1], match[3])

    return re.sub(r"\$\$|\$\{(\w+)(:[-?])?([^}]*)\}", value, text)


def in_order(services: dict[str, Service]) -> list[str]:
    """The names of the services, each after those that it depends on."""
    ordered: list[str] = []

    def add(name: str) -> None:
        for needed in services[name].get("depends_on", {}):
            add(needed)
        if name not in ordered:
            ordered.append(name)

    for name in services:
        if name not in SKIPPED:
            add(name)
    return ordered


@contextlib.contextmanager
def started(buildah: Buildah, name: str, service: Service) -> Iterator[None]:
    """Start a service and wait until it is healthy or has finished; end it after the block."""
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
        wait_until_healthy(buildah, container, service, process, name, log)
        print(f"{name}: healthy after {time.monotonic() - began:.1f} s", flush=True)
        yield
    finally:
        end(process)
        buildah("rm", container)


def prepare(buildah: Buildah, container: str, service: Service) -> None:
    """Create the folders that the compose file declares as tmpfs with an owner."""
    for mount in service.get("tmpfs", []):
        path, _, options = mount.partition(":")
        wanted = dict(pair.split("=") for pair in options.split(",") if pair)
        if wanted:
            made = ["install", "-d", "-o", wanted["uid"], "-g", wanted["gid"], "-m", wanted["mode"], path]
            buildah("run", "--isolation", "chroot", "--user", "0:0", container, "--", *made)


def entrypoint(buildah: Buildah, container: str) -> list[str]:
    """The entry point of the image, which `buildah run` does not use."""
    words = buildah("inspect", "--format", "{{range .OCIv1.Config.Entrypoint}}{{.}}\n{{end}}", container)
    return words.split()


def inside(buildah: Buildah, container: str, service: Service, words: list[str]) -> list[str]:
    """The command line that runs a command in a service's container, with the service's user and environment."""
    environment = [f"--env={name}={value}" for name, value in service.get("environment", {}).items()]
    return buildah.command(
        "run", "--isolation", "chroot", "--user", service["user"], *environment, container, "--", *words
    )


def wait_until_healthy(
    buildah: Buildah, container: str, service: Service, process: subprocess.Popen[bytes], name: str, log: Path
) -> None:
    """Return when the health check succeeds; without one, when the service has ended or has written to its log."""
    deadline = time.monotonic() + HEALTHY_TIMEOUT
    once = service.get("restart") == "no"
    check = service.get("healthcheck", {}).get("test", [])
    words = ["sh", "-c", *check[1:]] if check[:1] == ["CMD-SHELL"] else check[1:]
    output = ""
    while time.monotonic() < deadline:
        ended = process.poll()
        if ended is not None and not (once and ended == 0):
            sys.exit(f"{name} ended with exit code {ended}:\n{log.read_text()[-3000:]}")
        if ended is not None or (not once and not words and log.stat().st_size):
            return
        if words:
            result = subprocess.run(
                inside(buildah, container, service, words), check=False, capture_output=True, text=True
            )
            if result.returncode == 0:
                return
            output = result.stdout + result.stderr
        time.sleep(0.5)
    sys.exit(f"{name} is not healthy after {HEALTHY_TIMEOUT:.0f} s: {output}\n{log.read_text()[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a service: buildah does not pass on signals."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_pages(settings: dict[str, str]) -> None:
    """Check that frames are counted, and that the pages require their tokens."""
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
    """The HTTP status of a response."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  on this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this must run as root: debootstrap and chroot need it")
    main()
