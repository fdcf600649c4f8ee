"""What `make test` runs: all tests, and after them those with a browser, whose processes have an event loop.

The tests run on machines that others use too. A test that fails is therefore run once more, alone. One that passes then
is flaky: it is printed at the end and added to FLAKY_LOG with its date. More than MAX_FLAKY of them fail the run,
because a failure that comes and goes is a race, in the product more often than in the test.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.paths import TOP

STATE = TOP / ".rededge"
FLAKY_LOG = STATE / "flaky-tests.txt"
MAX_FLAKY = 2
SLOWEST = 25
MOST_OF_A_REASON = 400
PARTS = {"tests": (("tests", "--ignore=tests/browser"), 3), "browser": (("tests/browser",), 2)}
"""What pytest runs, and in how many processes. By folder: to collect all tests only to deselect most of them takes a
while. Many tests wait for processes and timers, so that three of them keep two processors busy; a browser does that
alone."""
IN_PARALLEL = ("--dist", "loadfile", "--no-loadscope-reorder")
"""pytest-xdist would begin with the files of many tests; tests/conftest.py begins with those that take long."""
FAILED_TESTS, NO_TESTS = 1, 5
"""Exit codes of pytest."""


def main() -> int:
    """Run everything, even after a failure; returns an exit code."""
    flaky: dict[str, str] = {}
    failed: dict[str, str] = {}
    for part, (words, processes) in PARTS.items():
        failed_twice, only_once = run_twice(part, [*words, f"--basetemp={STATE / 'pytest'}"], processes=processes)
        failed |= failed_twice
        flaky |= only_once
    return report(flaky, failed)


def run_twice(part: str, words: Sequence[str], *, processes: int = 0) -> tuple[dict[str, str], dict[str, str]]:
    """Run tests, and those that failed once more; returns the tests that failed twice and once, with the reasons."""
    cache, results = STATE / f"cache-{part}", STATE / f"results-{part}.xml"
    shutil.rmtree(cache, ignore_errors=True)
    words = [*words, "-o", f"cache_dir={cache}", f"--durations={SLOWEST}", f"--junitxml={results}"]
    code = pytest(*words, *((f"-n{processes}", *IN_PARALLEL) if processes else ()))
    if code in (0, NO_TESTS):
        return {}, {}
    names = last_failed(cache) if code == FAILED_TESTS else []
    if not names:
        return {part: f"pytest ended with exit code {code}"}, {}
    first_reasons = reasons(names, results)
    print(f"{len(names)} failed, and run once more, alone:", *names, sep="\n  ", flush=True)
    code = pytest(*words, "--last-failed", "--last-failed-no-failures", "none")
    again = last_failed(cache) if code else []
    if code and not again:
        return {part: f"pytest ended with exit code {code}"}, {}
    return reasons(again, results), {name: first_reasons[name] for name in names if name not in again}


def last_failed(cache: Path) -> list[str]:
    """Names of the tests that pytest remembers as failed."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def reasons(names: Sequence[str], results: Path) -> dict[str, str]:
    """Why tests failed, by their names, from a file in the format of JUnit: at most MOST_OF_A_REASON characters."""
    found = {}
    for case in ElementTree.parse(results).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        for outcome in (*case.findall("failure"), *case.findall("error")):
            found[_dotted(name)] = " ".join(outcome.get("message", "").split())[:MOST_OF_A_REASON]
    return {name: found.get(_dotted(name), "") for name in names}


def _dotted(name: str) -> str:
    return re.sub(r"\.py::|::|/", ".", name)


def pytest(*words: str) -> int:
    """Run pytest in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=TOP, check=False).returncode


def report(flaky: Mapping[str, str], failed: Mapping[str, str], *, log: Path = FLAKY_LOG) -> int:
    """Print the tests that were flaky and that failed, last of all, since of a long output the end is kept.

    Adds the flaky ones to the log, and returns the exit code of the whole run.
    """
    print("FLAKY TESTS (passed only when repeated):", *(_lines(flaky) or ["none"]), sep="\n  ", flush=True)
    if flaky:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as lines:
            lines.writelines(f"{time.strftime('%Y-%m-%d %H:%M')} {line}\n" for line in _lines(flaky))
        print(f"added to {log}; find the cause of each")
    if len(flaky) > MAX_FLAKY:
        print(f"FAILED: more than {MAX_FLAKY} tests are flaky")
    if failed:
        print("FAILED, also when repeated:", *_lines(failed), sep="\n  ", flush=True)
    return int(bool(failed) or len(flaky) > MAX_FLAKY)


def _lines(tests: Mapping[str, str]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in tests.items()]


if __name__ == "__main__":
    sys.exit(main())
