"""`make test` finds flaky tests: it repeats what failed, and tells and records what passes only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import suite

TESTS = """
from pathlib import Path

def test_good():
    pass

def test_flaky(marker=Path(__file__).with_name("marker")):
    if not marker.exists():
        marker.touch()
        assert False

def test_broken():
    assert {broken} is False
"""


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "STATE", tmp_path / "state")
    # else the settings of this project apply, if the folder is in it
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # the plugins of others take most of the time of so small a run
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize("broken", [False, True])
def test_a_test_that_passes_only_when_repeated_is_flaky(tmp_path: Path, broken: bool) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(TESTS.format(broken=broken))
    failed, flaky = suite.run_twice("some", ["-q", f"--rootdir={tmp_path}", str(file)])
    assert [name.rpartition("::")[2] for name in flaky] == ["test_flaky"]
    assert [name.rpartition("::")[2] for name in failed] == (["test_broken"] if broken else [])
    assert all("assert" in reason and "False" in reason for reason in (failed | flaky).values())


def test_tests_that_cannot_be_collected_fail_the_run(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("import no_such_module")
    failed, flaky = suite.run_twice("some", ["-q", f"--rootdir={tmp_path}", str(tmp_path)])
    assert failed
    assert not flaky


@pytest.mark.parametrize(
    ("flaky", "failed", "code"), [("", "", 0), ("", "x", 1), ("ab", "", 0), ("abc", "", 1), ("a", "xy", 1)]
)
def test_more_than_two_flaky_tests_fail_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flaky: str, failed: str, code: int
) -> None:
    log = tmp_path / "flaky.txt"
    only_once, twice = dict.fromkeys(flaky, "late"), dict.fromkeys(failed, "wrong")
    assert suite.report(only_once, twice, log=log) == code
    assert suite.report(only_once, twice, log=log) == code
    printed = capsys.readouterr().out
    assert all(f"\n  {name}: late\n" in printed for name in flaky)
    assert ("\n  none\n" in printed) == (not flaky)
    assert all(f"\n  {name}: wrong\n" in printed for name in failed)
    assert ("more than 2" in printed) == (len(flaky) > 2)
    recorded = log.read_text().splitlines() if flaky else []
    assert [line.split()[-2] for line in recorded] == [f"{name}:" for name in flaky * 2]
