"""What `make test` runs: all tests, in two processes of pytest at the same time.

The tests with a browser have a process of their own, because Playwright leaves an event loop in it. The other process
has two workers: so three tests run at once, and two processors always have something to do while a test waits.

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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.paths import TOP

STATE = TOP / ".rededge"
FLAKY_LOG = STATE / "flaky-tests.txt"
MAX_FLAKY = 2
SLOWEST = 25
PARTS = {"tests": ("tests", "--ignore=tests/browser"), "browser": ("tests/browser",)}
"""By folder: to collect all tests only to deselect most of them takes a while."""
IN_PARALLEL = {"tests": ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")}
"""pytest-xdist would begin with the files of many tests; tests/conftest.py begins with those that take long."""
FAILED_TESTS, NO_TESTS = 1, 5
"""Exit codes of pytest."""


def main() -> int:
    """Run everything, even after a failure; returns an exit code."""
    passed, flaky = run_twice(PARTS)
    return report(flaky, failed=not passed)


def run_twice(parts: Mapping[str, Sequence[str]]) -> tuple[bool, list[str]]:
    """Run parts of the tests at the same time, and after that those that failed once more, one after the other.

    Args:
        parts: For each part, arguments of pytest. The first part is seen while it runs, the others when it has ended.

    Returns:
        Whether all passed at last, and which passed only when they were repeated.
    """
    STATE.mkdir(parents=True, exist_ok=True)
    for part in parts:
        shutil.rmtree(cache_of(part), ignore_errors=True)
    outputs = {part: None if part == next(iter(parts)) else STATE / f"{part}.txt" for part in parts}

    def run(part: str) -> int:
        return pytest(part, [*parts[part], *IN_PARALLEL.get(part, ())], output=outputs[part])

    with ThreadPoolExecutor() as pool:
        codes = dict(zip(parts, pool.map(run, parts), strict=True))
    for output in outputs.values():
        if output is not None:
            print(output.read_text(errors="replace"), flush=True)
    repeated = [repeat_failed(part, parts[part], codes[part]) for part in parts]
    return all(passed for passed, _ in repeated), [name for _, flaky in repeated for name in flaky]


def repeat_failed(part: str, words: Sequence[str], code: int) -> tuple[bool, list[str]]:
    """Run the tests of a part that failed once more, if `code` says that some did; returns what run_twice() returns."""
    if code != FAILED_TESTS:
        return code in (0, NO_TESTS), []
    failed = last_failed(cache_of(part))
    if not failed:
        return False, []
    print(f"{len(failed)} failed, and run once more, alone:", *failed, sep="\n  ", flush=True)
    code = pytest(part, [*words, "--last-failed", "--last-failed-no-failures", "none"])
    return code == 0, sorted(set(failed) - set(last_failed(cache_of(part))))


def cache_of(part: str) -> Path:
    """The folder in which pytest remembers what has failed in a part."""
    return STATE / f"cache-{part}"


def last_failed(cache: Path) -> list[str]:
    """Names of the tests that pytest remembers as failed."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def pytest(part: str, words: Sequence[str], *, output: Path | None = None) -> int:
    """Run pytest in a process of its own; returns its exit code.

    Args:
        part: The name of the part, for folders of its own.
        words: Arguments of pytest.
        output: A file for what it prints; without one, it prints here.
    """
    own = ["-o", f"cache_dir={cache_of(part)}", f"--basetemp={STATE / f'pytest-{part}'}", f"--durations={SLOWEST}"]
    command = [sys.executable, "-m", "pytest", *words, *own]
    if output is None:
        return subprocess.run(command, cwd=TOP, check=False).returncode
    with output.open("wb") as file:
        return subprocess.run(command, cwd=TOP, check=False, stdout=file, stderr=file).returncode


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
