"""The commands of `rededge scene`: lines, zones, masks and rules of a camera."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from rededge_nb.cli.base import camera_option, connected, directory_option, echo, echo_json, examples

if TYPE_CHECKING:
    import redis

    from rededge_nb.analytics.rules import Rule
    from rededge_nb.analytics.scene import Scene
    from rededge_nb.control.camera_scene import CameraScene

Point = tuple[float, float]
_LATELY_S = 3600
"""Crossings and stays that were unreliable in the last hour will be so again."""
_SETTLED_S = 10
"""The rate of a capture is known after so many seconds."""


@click.group()
def scene() -> None:
    """Lines, zones, privacy masks and rules of a camera."""


@scene.command(epilog=examples("rededge scene show", "rededge scene show --camera door --json | jq .lines"))
@directory_option
@camera_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the scene, and what was counted.")
def show(directory: Path | None, camera: str, as_json: bool) -> None:
    """Show what is drawn, and what was counted since it was made."""
    from rededge_nb.display.tables import Table
    from rededge_nb.reading.scenes import newest_counts, read_scene

    with connected(directory) as client:
        found = read_scene(client, camera)
        lines, zones = newest_counts(client, camera)
    if as_json:
        echo_json(found.to_dict() | {"counts": {"lines": lines, "zones": zones}})
        return
    rows: list[tuple[str, str, str, str]] = []
    for line in found.lines:
        forward, backward = lines.get(line.name, (0, 0))
        rows.append(
            ("line", line.name, _shown((line.a, line.b)), f"{forward} {line.forward}, {backward} {line.backward}")
        )
    for zone in found.zones:
        now, longest, entries, exits = zones.get(zone.name, (0, 0.0, 0, 0))
        counted = f"{now} now, longest {longest:g} s, {entries} entered, {exits} left"
        rows.append(("zone", zone.name, _shown(zone.points), counted))
    rows += [("mask", mask.name, _shown(mask.points), mask.style) for mask in found.masks]
    rows += [("rule", rule.name, _fields_of(rule), "" if rule.enabled else "switched off") for rule in found.rules]
    if rows:
        click.echo(Table(("kind", "name", "points or fields", "counted"), rows))
    else:
        click.echo(f"nothing is drawn for camera {camera}; `rededge scene set --help` shows how", err=True)
    if found.boxes_only:
        click.echo("boxes only: no image of this camera is stored")


@scene.group("set")
def set_() -> None:
    """Draw a line, zone or mask; one of that name is replaced.

    A point is X,Y from 0 to 1 of the frame's width and height; Y grows downwards. The next frame is counted with it.
    """


class _PointType(click.ParamType[Point]):
    name = "X,Y"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Point:
        if isinstance(value, tuple):
            return value
        try:
            x, y = map(float, str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a point: write X,Y, such as 0.1,0.5", param, context)
        return x, y


@set_.command(epilog=examples("rededge scene set line door 0.1,0.5 0.9,0.5 --forward in --backward out"))
@click.argument("name")
@click.argument("a", type=_PointType())
@click.argument("b", type=_PointType())
@directory_option
@camera_option
@click.option("--forward", help="Name of the direction from the left to the right of who walks from A to B.")
@click.option("--backward", help="Name of the other direction.")
def line(
    name: str, a: Point, b: Point, directory: Path | None, camera: str, forward: str | None, backward: str | None
) -> None:
    """Draw the line NAME from A to B, at which people are counted in both directions."""
    with _changing(directory, camera) as found:
        click.echo(found.line(name, a, b, forward=forward, backward=backward))


@set_.command(epilog=examples("rededge scene set zone desk 0.2,0.2 0.6,0.2 0.6,0.7"))
@click.argument("name")
@click.argument("points", type=_PointType(), nargs=-1, required=True)
@directory_option
@camera_option
def zone(name: str, points: tuple[Point, ...], directory: Path | None, camera: str) -> None:
    """Draw the zone NAME with the corners POINTS, in which people are counted."""
    with _changing(directory, camera) as found:
        click.echo(found.zone(name, points))


@set_.command(epilog=examples("rededge scene set mask 0,0 0.2,0 0.2,0.1 --style blur --name window"))
@click.argument("points", type=_PointType(), nargs=-1, required=True)
@directory_option
@camera_option
@click.option("--style", type=click.Choice(["black", "blur", "pixelate"]), default="black", show_default=True)
@click.option("--name", help="Its name; default: mask-1, mask-2 …")
def mask(points: tuple[Point, ...], directory: Path | None, camera: str, style: str, name: str | None) -> None:
    """Hide what has the corners POINTS, before frames are stored."""
    with _changing(directory, camera) as found:
        click.echo(found.mask(points, style=style, name=name))


@set_.command(
    epilog=examples(
        "rededge scene set rule queue occupancy zone=desk at_least=6 lasting=30",
        "rededge scene set rule night crossings line=door severity=alarm clip=true "
        """schedule='{"time_zone": "Europe/Berlin", "windows": [{"start": "22:00", "end": "06:00"}]}'""",
        "rededge scene set rule silence silence after=60",
    )
)
@click.argument("name")
@click.argument("kind")
@click.argument("fields", nargs=-1, metavar="FIELD=VALUE...")
@directory_option
@camera_option
def rule(name: str, kind: str, fields: tuple[str, ...], directory: Path | None, camera: str) -> None:
    """Add the rule NAME, which raises alarms: KIND is occupancy, dwell, crossings or silence."""
    values = dict(_field_value(words) for words in fields)
    with _changing(directory, camera) as found:
        click.echo(found.rule(name, kind, **values))


@scene.command(epilog=examples("rededge scene remove door", "rededge scene remove queue --rule"))
@click.argument("name")
@directory_option
@camera_option
@click.option("--rule", "is_rule", is_flag=True, help="NAME is a rule.")
def remove(name: str, directory: Path | None, camera: str, is_rule: bool) -> None:
    """Remove the line, zone or mask NAME; what was counted stays until its retention ends."""
    with _changing(directory, camera) as found:
        click.echo(found.remove_rule(name) if is_rule else found.remove(name))


@scene.command(epilog=examples("rededge scene boxes-only on --camera door", "rededge scene boxes-only off"))
@click.argument("state", type=click.Choice(["on", "off"]))
@directory_option
@camera_option
def boxes_only(state: str, directory: Path | None, camera: str) -> None:
    """Store no image of the camera, only boxes, or store images again.

    The capture then finds the people itself, and no pixel leaves its process. Frames that are stored already are
    removed.
    """
    with _changing(directory, camera) as found:
        click.echo(found.boxes_only(state == "on"))


@scene.command(epilog=examples("rededge scene still empty-room.jpg --camera door", "rededge scene still --remove"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--remove", is_flag=True, help="Remove the image: boxes are drawn on a grey plane.")
@directory_option
@camera_option
def still(file: Path | None, remove: bool, directory: Path | None, camera: str) -> None:
    """Choose the image FILE, on which live views draw the boxes of a camera without images."""
    if (file is None) != remove:
        raise click.UsageError("give either a file or --remove")
    with _changing(directory, camera) as found:
        found.still(file)
    click.echo(f"the still image of camera {camera} was {'removed' if remove else 'stored'}")


@scene.command(epilog=examples("EDITOR=nano rededge scene edit --camera door"))
@directory_option
@camera_option
def edit(directory: Path | None, camera: str) -> None:
    """Edit the scene as JSON in your text editor ($EDITOR). A scene with a mistake is shown again."""
    from rededge_nb.analytics.scene import parse_scene
    from rededge_nb.control.scenes import save_scene
    from rededge_nb.errors import SceneError
    from rededge_nb.reading.scenes import read_scene

    with connected(directory) as client:
        before = read_scene(client, camera)
        text = before.to_json(indent=2)
        while True:
            edited = click.edit(text + "\n", extension=".json")
            if edited is None or edited.strip() == before.to_json(indent=2):
                click.echo("nothing was changed", err=True)
                return
            try:
                changed = parse_scene(edited)
                break
            except SceneError as error:
                click.echo(f"rededge: {error}", err=True)
                click.confirm("Edit it again?", default=True, abort=True, err=True)
                text = edited.strip()
        _report(save_scene(client, camera, changed, version=before.version), camera)
        _notes(client, camera)


@scene.command(epilog=examples("rededge scene export > door.json", "rededge scene export --camera door door.json"))
@click.argument("file", type=click.File("w"), default="-")
@directory_option
@camera_option
def export(file: IO[str], directory: Path | None, camera: str) -> None:
    """Write the scene to FILE as JSON; to the output if there is none."""
    from rededge_nb.reading.scenes import read_scene

    with connected(directory) as client:
        click.echo(read_scene(client, camera).to_json(indent=2), file=file)


@scene.command("import", epilog=examples("rededge scene import door.json --camera door2"))
@click.argument("file", type=click.File("rb"))
@directory_option
@camera_option
def import_(file: IO[bytes], directory: Path | None, camera: str) -> None:
    """Replace the scene by that in FILE (`-`: the input), whatever is there."""
    from rededge_nb.analytics.scene import parse_scene
    from rededge_nb.control.scenes import save_scene

    found = parse_scene(file.read())
    with connected(directory) as client:
        _report(save_scene(client, camera, found, version=None), camera)
        _notes(client, camera)


@contextlib.contextmanager
def _changing(directory: Path | None, camera: str) -> Iterator[CameraScene]:
    """The scene of a camera, to be changed."""
    from rededge_nb.control.camera_scene import CameraScene

    with connected(directory) as client:
        yield CameraScene(client, camera)
        _notes(client, camera)


def _notes(client: redis.Redis, camera: str) -> None:
    """Say why something that is drawn counts nothing, or counts wrong."""
    _note_unknown(client, camera)
    _note_few_frames(client, camera)


def _note_unknown(client: redis.Redis, camera: str) -> None:
    """Say that nothing counts at this camera: its id may be misspelt."""
    from rededge_nb import schema
    from rededge_nb.control.provision import known_cameras

    known = known_cameras(client)
    if schema.camera_id(camera) not in known:
        echo(
            f"note: nothing is counted at camera {camera} before `rededge init --camera {camera}` or a capture; "
            f"known cameras are: {', '.join(known) or 'none'}",
            err=True,
        )


def _note_few_frames(client: redis.Redis, camera: str) -> None:
    """Say that lines and zones count wrong at this camera, because people cannot be followed."""
    from rededge_nb import schema
    from rededge_nb.analytics.pace import LEAST_FPS
    from rededge_nb.reading.captures import current_capture
    from rededge_nb.reading.counted import counted_now
    from rededge_nb.reading.scenes import read_scene
    from rededge_nb.reading.too_few_frames import too_few_frames

    scene, now_ms = read_scene(client, camera), client.time()[0] * 1000
    if not (scene.lines or scene.zones):
        return
    end_ms = now_ms + schema.CLOCK_SLACK_MS
    found = too_few_frames(client, now_ms - 1000 * _LATELY_S, end_ms, camera=camera).get(camera)
    fed = current_capture(client, camera)
    live = fed is not None and fed.pace == "realtime" and now_ms - fed.started_ms > 1000 * _SETTLED_S
    if found is not None:
        echo(f"note: {found.reason(counted_now(client))}; `rededge events --camera {camera}` says what to do", err=True)
    elif fed is not None and live and 0 < fed.fps < LEAST_FPS:
        echo(
            f"note: the capture of camera {camera} adds {fed.fps:.1f} frames a second, and {LEAST_FPS} are needed to "
            "follow people: crossings and stays will not be reliable",
            err=True,
        )


def _report(stored: Scene, camera: str) -> None:
    counts: tuple[tuple[int, str], ...] = (
        (len(stored.lines), "lines"),
        (len(stored.zones), "zones"),
        (len(stored.masks), "masks"),
    )
    counts += ((len(stored.rules), "rules"),) if stored.rules else ()
    parts = ", ".join(f"{count} {what}" for count, what in counts)
    click.echo(f"stored version {stored.version} of the scene of camera {camera}: {parts}")


def _shown(points: tuple[Point, ...]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _field_value(words: str) -> tuple[str, object]:
    """A field of a rule from FIELD=VALUE: a number, true, false or JSON; otherwise a text."""
    name, equals, text = words.partition("=")
    if not equals:
        raise click.UsageError(f"{words!r} is not FIELD=VALUE, such as at_least=6")
    if name in ("name", "kind"):
        raise click.UsageError(f"the {name} of a rule is written before its fields, without `{name}=`")
    if name in ("zone", "line", "direction", "severity"):  # a zone may be called 5 or true
        return name, text
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _fields_of(rule: Rule) -> str:
    fields = {name: value for name, value in rule.to_dict().items() if name not in ("name", "kind", "enabled")}
    return " ".join(
        [
            rule.kind,
            *(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in fields.items()),
        ]
    )
