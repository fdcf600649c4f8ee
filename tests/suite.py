"""What `make test` runs: all tests, and after them those with a browser, whose processes have an event loop.

The tests run on machines that others use too. A test that fails is therefore run once more, alone. One that passes then
is flaky: it is printed at the end and added to FLAKY_LOG with its date. More than MAX_FLAKY of them fail the run,
because a failure that comes and goes is a race, in the product more often than in the test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.paths import TOP

STATE = TOP / ".rededge"
FLAKY_LOG = STATE / "flaky-tests.txt"
MAX_FLAKY = 2
SLOWEST = 25
IN_PARALLEL = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""pytest-xdist would begin with the files of many tests; tests/conftest.py begins with those that take long."""
PARTS = {"tests": ("tests", "--ignore=tests/browser"), "browser": ("tests/browser",)}
"""By folder: to collect all tests only to deselect most of them takes a while."""
FAILED_TESTS, NO_TESTS = 1, 5
"""Exit codes of pytest."""


def main() -> int:
    """Run everything, even after a failure; returns an exit code."""
    flaky: list[str] = []
    failed = False
    for part, words in PARTS.items():
        passed, only_when_repeated = run_twice(part, [*words, f"--basetemp={STATE / 'pytest'}"])
        failed |= not passed
        flaky += only_when_repeated
    return report(flaky, failed=failed)


def run_twice(part: str, words: Sequence[str], *, parallel: Sequence[str] = IN_PARALLEL) -> tuple[bool, list[str]]:
    """Run tests, and those that failed once more; returns whether all passed then, and which passed only then."""
    cache = STATE / f"cache-{part}"
    shutil.rmtree(cache, ignore_errors=True)
    words = [*words, "-o", f"cache_dir={cache}", f"--durations={SLOWEST}"]
    code = pytest(*words, *parallel)
    if code != FAILED_TESTS:
        return code in (0, NO_TESTS), []
    failed = last_failed(cache)
    if not failed:
        return False, []
    print(f"{len(failed)} failed, and run once more, alone:", *failed, sep="\n  ", flush=True)
    code = pytest(*words, "--last-failed", "--last-failed-no-failures", "none")
    return code == 0, sorted(set(failed) - set(last_failed(cache)))


def last_failed(cache: Path) -> list[str]:
    """Names of the tests that pytest remembers as failed."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def pytest(*words: str) -> int:
    """Run pytest in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=TOP, check=False).returncode


def report(flaky: Sequence[str], *, failed: bool, log: Path = FLAKY_LOG) -> int:
    """Print the flaky tests, add them to the log, and return the exit code of the whole run."""
    print("FLAKY TESTS (passed only when repeated):", *(flaky or ["none"]), sep="\n  ", flush=True)
    if flaky:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as lines:
            lines.writelines(f"{time.strftime('%Y-%m-%d %H:%M')} {name}\n" for name in flaky)
        print(f"added to {log}; find the cause of each")
    if len(flaky) > MAX_FLAKY:
        print(f"FAILED: more than {MAX_FLAKY} tests are flaky")
    return int(failed or len(flaky) > MAX_FLAKY)


if __name__ == "__main__":
    sys.exit(main())
