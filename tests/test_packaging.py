"""`pip install` builds a wheel with everything in it, or says what is missing."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import TOP

REPOSITORY = "https://github.com/rededge-nb/rededge_nb"


def build(into: Path, source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", str(into), str(source)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what git tracks, so that building leaves nothing in the checkout."""
    copy = tmp_path / "sources"
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (TOP / name).is_file() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((TOP / name).read_bytes())
    return copy


def test_a_wheel_works_without_the_clone(sources: Path, tmp_path: Path, folder: Path) -> None:
    built = build(tmp_path / "wheel", sources)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    check_readme(wheel)
    installing = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--target"]
    subprocess.run([*installing, str(tmp_path / "installed"), str(wheel)], check=True, capture_output=True)
    code = (
        "import sys, pathlib, rededge_nb\n"
        "assert pathlib.Path(rededge_nb.__file__).is_relative_to(sys.argv[1]), rededge_nb.__file__\n"
        "from rededge_nb import Workbench, assets\n"
        "with Workbench(directory=pathlib.Path(sys.argv[2])) as wb:\n"
        "    wb.provision('0')\n"
        "    print(wb.camera('0').capture(assets.sample_video(), pace='asap', frames=2).frames)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "installed"), str(folder / "state")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def check_readme(wheel: Path) -> None:
    """An index shows the README without the files beside it, so every link has to be absolute, and lead somewhere."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        message = email.message_from_bytes(archive.read(metadata))
    assert message["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"(!?)\[[^]]*\]\(([^)\s]+)", message.get_payload())
    assert [target for _, target in links if "://" not in target] == []
    ours = [(image, target.removeprefix(f"{REPOSITORY}/")) for image, target in links if target.startswith(REPOSITORY)]
    assert len(ours) > 20
    for image, target in ours:
        kind, _, path = target.partition("/HEAD/")
        assert kind == ("raw" if image else "blob"), target
        assert (TOP / path.partition("#")[0]).exists(), target


def test_the_error_of_a_compiler_that_fails_says_what_to_install(sources: Path, tmp_path: Path) -> None:
    built = build(tmp_path / "wheel", sources, CC="/no/such/compiler")
    assert built.returncode != 0
    output = built.stdout + built.stderr
    assert "rededge_nb needs a C compiler to build its Redis module" in output
    assert "apt install gcc" in output
    assert not list(tmp_path.glob("wheel/*.whl"))


def test_everything_that_is_installed_for_development_is_pinned() -> None:
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (TOP / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    needed: set[str] = set()
    waiting = [Requirement("rededge_nb[dev]")]
    while waiting:
        requirement = waiting.pop()
        for text in distribution(requirement.name).requires or ():
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is not None and not any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            name = f"{canonicalize_name(inner.name)}[{','.join(sorted(inner.extras))}]"
            if name not in needed:
                needed.add(name)
                waiting.append(inner)
    assert len(needed) > 100
    assert sorted({name.partition("[")[0] for name in needed} - pinned - {"rededge-nb"}) == []
