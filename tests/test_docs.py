"""The documentation against the code: what exists is written down, and what is written down exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest
import redis

import rededge_nb
from rededge_nb import schema, settings, web
from rededge_nb.analytics.events import KINDS
from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.cli import main
from rededge_nb.edge.ai import commands as ai
from rededge_nb.edge.gears import commands as gears
from rededge_nb.edge.server.state import Instance
from rededge_nb.web import metrics, pages
from rededge_nb.web.handlers import Services
from rededge_nb.web.server import routes
from tests.paths import TOP
from tests.waiting import wait_for

PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "benchmarks").rglob("*.md")])
REFERENCE = TOP / "docs" / "reference"


def commands(command: click.Command, path: str = "rededge") -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {path: command}
    inner = [commands(each, f"{path} {name}") for name, each in command.commands.items()]
    return {name: each for found in inner for name, each in found.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_targets_of_links_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [each for each in targets if "://" not in each and not (page.parent / each).exists()]
    assert missing == []


def test_files_that_pages_name_exist() -> None:
    path = re.compile(r"`((?:benchmarks|docker|gears|grafana|models|notebooks|rededge_nb|tests)/[\w/.]*)`")
    named = {found for page in PAGES for found in path.findall(page.read_text())}
    assert len(named) > 50
    assert [found for found in sorted(named) if not (TOP / found).exists()] == []


def test_contributing_has_every_package() -> None:
    text = (TOP / "CONTRIBUTING.md").read_text()
    packages = {str(each.parent.relative_to(TOP)) for each in (TOP / "rededge_nb").glob("*/__init__.py")} - {
        "rededge_nb/edge"
    }
    assert {path for path in packages if f"`{path}/`" not in text} == set()


def test_the_site_builds_without_a_warning_and_loads_nothing_from_other_servers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=TOP, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    from_elsewhere = re.compile(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"?(https?:[^\" >]+)")
    loaded = {found for page in tmp_path.rglob("*.html") for found in from_elsewhere.findall(page.read_text())}
    assert loaded == set()
    reference = (tmp_path / "reference" / "api.html").read_text()
    names = [name for name in rededge_nb.__all__ if not name.startswith("__")]
    assert [name for name in names if not re.search(rf'id="[\w.]*\b{name}"', reference)] == []


def test_the_reference_lists_every_kind_of_event() -> None:
    text = (REFERENCE / "events.md").read_text().partition("## Kinds")[2].partition("\n## ")[0]
    listed = [
        kind for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for kind in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == sorted(KINDS)


def test_the_command_line_is_described_as_its_help_does() -> None:
    rows = re.findall(r"^\| `(rededge [^`]+)` \| (.*) \|$", (REFERENCE / "cli.md").read_text(), re.MULTILINE)
    assert rows == [(usage(path), summary(command)) for path, command in sorted(commands(main).items())]


def usage(path: str) -> str:
    """A command with its required arguments."""
    arguments = [each for each in commands(main)[path].params if isinstance(each, click.Argument) and each.required]
    return " ".join([path, *(f"{str(each.name).upper()}{'...' if each.nargs < 0 else ''}" for each in arguments)])


def summary(command: click.Command) -> str:
    return command.get_short_help_str(200).removesuffix(".")


def test_messages_in_the_troubleshooting_page_are_those_of_the_product() -> None:
    files = [TOP / "setup.py", *(TOP / "rededge_nb").rglob("*.py"), *(TOP / "rededge_nb").rglob("*.c")]
    printed = "\n".join(file.read_text() for file in files)
    cells = re.findall(r"^\| (`.*?) \|", (TOP / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 30
    assert [message for message in messages if message not in printed] == []


def test_commands_that_pages_name_exist() -> None:
    known = set(commands(main))
    groups = {" ".join(name.split()[:2]) for name in known}
    for page in PAGES:
        for line in re.findall(r"`(rededge [^`]*)`|^(rededge .*)$", page.read_text(), re.MULTILINE):
            words = next(filter(None, line)).split()
            if len(words) > 1 and words[1].isalpha() and words[1].islower():
                assert " ".join(words[:2]) in groups, (page.name, words)


def test_the_example_of_a_cameras_file_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (TOP / "docs" / "how-to" / "own-camera.md").read_text()
    [shown] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "cameras.yaml").write_text(shown)
    monkeypatch.setenv("DOOR_PASSWORD", "secret")
    assert [each.camera for each in read_cameras(tmp_path / "cameras.yaml")] == ["door", "desk", "street"]


def test_every_setting_is_listed() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    names = [value for value in vars(settings).values() if isinstance(value, str) and re.fullmatch(r"RED\w+", value)]
    internal = (
        settings.SWITCHBOARD_MODULE,
        settings.REPORTS_DESCRIPTOR,
        settings.AFTER_DEATH,
        settings.WORKER_LOG,
    )
    assert len(names) > 5
    assert [name for name in names if f"`{name}`" not in text and name not in internal] == []


def test_every_answered_command_is_listed() -> None:
    text = (REFERENCE / "commands.md").read_text()
    assert [each.name for each in (*ai.COMMANDS, *gears.COMMANDS) if f"`{each.name}`" not in text] == []


def test_every_route_and_metric_of_the_web_server_is_listed() -> None:
    text = (REFERENCE / "web.md").read_text()
    listed = re.findall(r"^\| `(/[a-z./]*)` \|", text, re.MULTILINE)
    served = {f"/{path}" for path in routes(cast(Services, None))} - {f"/{path}" for path in pages.files()}
    assert sorted(listed) == sorted(served)
    assert [path for path in served if path not in str(web.__doc__)] == []
    own = re.findall(r'"(rededge_\w+)"', Path(metrics.__file__).read_text())
    assert len(own) == 17
    assert [name for name in own if f"`{name}" not in text] == []


def test_every_kind_of_key_is_listed() -> None:
    text = (REFERENCE / "keys.md").read_text()
    fields = [schema.COUNT, schema.IMAGE, schema.TS, schema.KEEP, schema.REF, schema.BOXES, schema.PEOPLE]
    fields += [schema.CONFIDENCE, schema.TRACKS, schema.MODEL, schema.MS, schema.REASON]
    assert [field for field in fields if f"`{field}`" not in text] == []
    assert all(step in text for step in schema.STEPS)


def test_the_example_of_a_gear_works(edge: Instance, client: redis.Redis) -> None:
    [shown] = re.findall(r"```python\n(.*?)```", (TOP / "docs" / "how-to" / "own-gear.md").read_text(), re.DOTALL)
    client.sadd("cameras", "door", "street")
    client.execute_command("RG.PYEXECUTE", shown)
    for camera, people in (("door", 3), ("street", 5), ("door", 7), ("door", 2)):
        client.xadd(f"camera:{camera}:yolo", {"people": people})
    wait_for(lambda: client.zrange("busiest", 0, -1, withscores=True) == [(b"street", 5), (b"door", 7)], what="both")


@pytest.mark.parametrize("page", ["security", "reliability"])
def test_each_promise_names_a_test_that_exists(page: str) -> None:
    rows = re.findall(
        r"^\| (?!what happens|who or what|---)(.*) \|$", (TOP / "docs" / f"{page}.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named or "there is no limit" in row, row
        for file, function in named:
            assert f"def {function}(" in (TOP / "tests" / file).read_text(), f"{file}::{function}"
