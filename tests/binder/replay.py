"""Replays what repo2docker does with this repository, without a container engine.

    python -m tests.binder.replay [--repo2docker PATH] [--keep FOLDER]

In an empty home: the committed files are cloned, the Dockerfile that `jupyter-repo2docker --no-build --debug` prints is
looked at for the steps that follow, these steps are run (requirements, postBuild, start with a JupyterLab as the
command), and the first notebook is executed through that JupyterLab's server. Prints the memory that all of it takes
(proportional set size) and exits with 1 where that is more than 1 GB, or where any step fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from tests.paths import TOP

MOST_MEMORY = 1e9
TIMEOUT = 120.0
RUN_NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": "notebooks"}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo2docker", default=shutil.which("jupyter-repo2docker"), help="see PyPI; optional")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="binder-") as name:
        home = Path(name)
        repository = home / "repository"
        run(["git", "clone", "--quiet", str(TOP), str(repository)], TOP, dict(os.environ))
        if options.repo2docker:
            check_dockerfile(options.repo2docker, repository)
        else:
            say("jupyter-repo2docker is not here: its Dockerfile was not looked at")
        environment = clean_environment(home)
        run([options.python, "-m", "venv", str(home / "env")], repository, environment)
        pip = [str(home / "env" / "bin" / "pip"), "install", "--quiet", "--no-cache-dir"]
        run([*pip, "-r", "binder/requirements.txt"], repository, environment)
        run(["./binder/postBuild"], repository, environment)
        return launch(home, repository, environment)


def check_dockerfile(repo2docker: str, repository: Path) -> None:
    """See that repo2docker would do what is replayed here."""
    printed = subprocess.run(
        [repo2docker, "--no-build", "--debug", "."], cwd=repository, capture_output=True, text=True, check=True
    )
    text = printed.stdout + printed.stderr
    for step in ('pip install --no-cache-dir -r "binder/requirements.txt"', "RUN ./binder/postBuild", "/binder/start"):
        if step not in text:
            sys.exit(f"repo2docker's Dockerfile has no step {step!r}")
    say("repo2docker's Dockerfile has the steps that are replayed")


def clean_environment(home: Path) -> dict[str, str]:
    """An environment as in a fresh container: nothing of this user's, but how pip reaches its index."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "LANG"}
    return {**kept, "HOME": str(home), "PATH": f"{home / 'env' / 'bin'}:/usr/bin:/bin"}


def launch(home: Path, repository: Path, environment: dict[str, str]) -> int:
    """Start what a click starts, run the first notebook, and measure; returns the exit code."""
    port = 8899
    command = ["./binder/start", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--allow-root"]
    log = (home / "jupyter.log").open("wb")
    session = subprocess.Popen(command, cwd=repository, env=environment, stdout=log, stderr=log)
    try:
        wait_for_page(f"http://127.0.0.1:{port}/api/status", session, home / "jupyter.log")
        executed = home / "00.ipynb"
        executing = [str(home / "env" / "bin" / "python"), "-c", RUN_NOTEBOOK, "notebooks/00_start_here.ipynb"]
        notebook = subprocess.Popen([*executing, str(executed)], cwd=repository, env=environment)
        most: dict[str, float] = {}
        while notebook.poll() is None:
            most = max(most, memory_of(home), key=lambda each: sum(each.values()))
            time.sleep(0.2)
        for what, size in most.items():
            say(f"{size / 1e6:7.0f} MB  {what}")
        say(f"{sum(most.values()) / 1e6:7.0f} MB  in total, at most")
        cells = json.loads(executed.read_text())["cells"] if notebook.returncode == 0 else []
        errors = [out for cell in cells for out in cell.get("outputs", []) if out["output_type"] == "error"]
        return 1 if not cells or errors or sum(most.values()) > MOST_MEMORY else 0
    finally:
        session.terminate()
        session.wait(30)
        run([str(home / "env" / "bin" / "rededge"), "down"], repository, environment)


def wait_for_page(url: str, session: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and session.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"JupyterLab did not start:\n{log.read_text()}")


def memory_of(home: Path) -> dict[str, float]:
    """Bytes of each process with this home, what it shares with others divided among them."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(home):
                words = " ".join(Path(word).name if "/" in word else word for word in process.cmdline()[:5])
                found[f"{process.pid} {words[:70]}"] = float(process.memory_full_info().pss)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    say("$ " + " ".join(word if len(word) < 80 else "..." for word in command))
    subprocess.run(command, cwd=folder, env=environment, check=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
