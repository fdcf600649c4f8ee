"""`make debian-check`: runs make in a fresh clone on a Debian that has nothing else.

debootstrap makes a minimal Debian in a folder, with Python, make and git only, with gcc or without. The last commit is
cloned into it, and make runs there in a chroot, with process ids and mounts of its own, so that nothing is left behind.
This shows what a developer's machine hides: a package that is used but not declared, a tool that is taken for granted.

Suites are Debian's names: bookworm has Python 3.11, trixie has 3.13.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).parents[1]
PACKAGES = ("ca-certificates", "git", "make", "python3", "python3-venv")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CLONE = "root/rededge_nb"
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_ROOT_USER_ACTION": "ignore",
}


def main() -> int:
    """Make the systems that are asked for, and run make in each; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the systems are kept; a second run takes them from there")
    parser.add_argument("--suite", action="append", choices=("bookworm", "trixie"), help="default: both")
    parser.add_argument("--gcc", choices=("with", "without", "both"), default="both")
    parser.add_argument("--make", default="demo", metavar="WORDS", help="words for make; default: demo")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results: list[tuple[str, int, float]] = []
    for suite in arguments.suite or ("bookworm", "trixie"):
        for gcc in (True, False) if arguments.gcc == "both" else (arguments.gcc == "with",):
            began = time.monotonic()
            with tempfile.TemporaryDirectory(dir=folder) as root:
                unpack(system(folder, suite, gcc=gcc), Path(root))
                clone(Path(root))
                code = run(Path(root), ["make", *shlex.split(arguments.make)], cache=folder / f"pip-{suite}")
            results.append((f"{suite}, {'with' if gcc else 'without'} gcc", code, time.monotonic() - began))
    for name, code, seconds in results:
        print(f"{name}: make {arguments.make} ended with {code} after {seconds:.0f} s", flush=True)
    return int(any(code for _, code, _ in results))


def system(folder: Path, suite: str, *, gcc: bool) -> Path:
    """An archive of the system; made once."""
    archive = folder / f"{suite}{'-gcc' if gcc else ''}.tar"
    if archive.exists():
        return archive
    packages = ",".join((*PACKAGES, *(("gcc", "libc6-dev") if gcc else ())))
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        root = Path(temporary)
        print(f"debootstrap {suite} with {packages}", flush=True)
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(root)],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            sys.exit(f"debootstrap failed:\n{made.stdout[-3000:]}{made.stderr[-3000:]}")
        if CERTIFICATES.exists():
            # pip reaches the package index as this machine does, through a proxy of its own too
            shutil.copy(CERTIFICATES, root / "etc" / "certificates-of-the-host.crt")
            (root / "etc" / "pip.conf").write_text("[global]\ncert = /etc/certificates-of-the-host.crt\n")
        unfinished = archive.with_suffix(".unfinished")
        subprocess.run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(unfinished), "."], check=True)
        unfinished.rename(archive)
    return archive


def unpack(archive: Path, root: Path) -> None:
    """Put the system of an archive into a folder."""
    subprocess.run(["tar", "--numeric-owner", "-C", str(root), "-xf", str(archive)], check=True)
    root.chmod(0o755)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    # an installer writes this file, debootstrap does not
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")


def clone(root: Path) -> None:
    """Clone the last commit, as somebody does who tries the project for the first time."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(TOP), str(root / CLONE)], check=True)


def run(root: Path, words: list[str], *, cache: Path) -> int:
    """Run a command in the clone; returns its exit code.

    The command is the first process of a process namespace: when it ends, the kernel ends all that it left running.
    """
    cache.mkdir(exist_ok=True)
    (root / "root/.cache/pip").mkdir(parents=True)
    mounts = (
        'mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/tmp"'
        f' && mount --rbind /sys "$1/sys" && mount --bind "$2" "$1/root/.cache/pip"'
        f' && cd / && exec chroot "$1" sh -c {shlex.quote(f"cd /{CLONE} && {shlex.join(words)}")}'
    )
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounts, "sh", str(root), str(cache)]
    return subprocess.run(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this has to run as root: debootstrap and chroot need it")
    sys.exit(main())
