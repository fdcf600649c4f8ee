"""Write the scene of a camera: the scene and its series change in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.counting_state import renamed, scene_keys
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_series import (
    Command,
    create_commands,
    keys_of,
    line_series,
    rename_commands,
    series_of,
    zone_series,
)
from rededge_nb.connection import shard_of
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import SceneConflictError, SceneError, ServerError
from rededge_nb.images import ImageOrJpeg, decode_image, encode_jpeg
from rededge_nb.reading.scenes import scene_of

logger = logging.getLogger(__name__)

_TRIES = 20
"""How often a change is tried while others change the same scene."""
_LONGEST_STILL, _STILL_QUALITY = 1920, 85
"""Pixels of the longer side of a still image above which it is made smaller, and its JPEG quality."""


def save_scene(client: redis.Redis, camera: object, scene: Scene, *, version: int | None) -> Scene:
    """Store a scene; it is in force from the next frame on.

    New lines and zones get their series. Those that were renamed keep theirs, under the new name. The series of those
    that are gone stay until their retention ends.

    Args:
        client: Connected to the server.
        camera: Camera id.
        scene: The scene; it gets the next version number.
        version: Version of the scene that was edited; None replaces whatever is there.

    Returns:
        The scene as it is stored.

    Raises:
        SceneConflictError: the stored scene has another version.
        SceneError: what is stored is not a scene, and `version` is not None.
    """

    def change(old: Scene) -> Scene:
        if version is not None and old.version != version:
            raise SceneConflictError(
                "",
                f"somebody else has saved the scene of camera {schema.camera_id(camera)} meanwhile: it has version "
                f"{old.version} now, and yours began with {version}; load it and make your changes again",
            )
        return scene

    return change_scene(client, camera, change, replace_damaged=version is None)


def change_scene(
    client: redis.Redis, camera: object, change: Callable[[Scene], Scene], *, replace_damaged: bool = False
) -> Scene:
    """Change a scene by a function that takes the stored one; it is called again if somebody else saves meanwhile.

    Raises:
        SceneError: what is stored is not a scene, and `replace_damaged` is not set; or whatever `change` raises.
    """
    key = schema.scene_key(camera)
    with shard_of(client, camera) as shard, shard.pipeline(transaction=True) as pipeline:
        for _ in range(_TRIES):
            pipeline.watch(key)
            text: Any = pipeline.get(key)
            try:
                old = scene_of(key, text)
            except SceneError:
                if not replace_damaged:
                    raise
                old = Scene()
            new = change(old)
            new = replace(new, version=max(old.version, new.version if text is None else 0) + 1)
            commands = list(_series_commands(pipeline, schema.frames_key(camera), old, new))
            removes_images = new.boxes_only and not old.boxes_only
            if removes_images:
                commands.append(_images_removed(pipeline, camera))
            pipeline.multi()
            for command in commands:
                pipeline.execute_command(*command)
            pipeline.set(key, new.to_json())
            try:
                replies = pipeline.execute(raise_on_error=False)
            except redis.WatchError:
                continue
            _check(key, [*commands, ("SET", key)], replies)
            if removes_images:
                _forget_what_was_written(shard)
            return new
    raise ServerError(f"{key} was changed by others {_TRIES} times in a row: try again")


def set_still(client: redis.Redis, camera: object, image: ImageOrJpeg | None) -> None:
    """Store the image on which live views draw boxes where no image of the camera is stored; None removes it.

    Raises:
        SourceError: the image cannot be decoded, or is too large.
    """
    key = schema.still_key(camera)
    with shard_of(client, camera) as shard, server_errors(shard):
        if image is None:
            shard.delete(key)
            return
        pixels = decode_image(image, "the still image")
        longest = max(pixels.shape[:2])
        if longest > _LONGEST_STILL:
            factor = _LONGEST_STILL / longest
            pixels = np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        shard.set(key, encode_jpeg(pixels, quality=_STILL_QUALITY))


def may_change(client: redis.Redis, camera: object) -> bool:
    """Whether the user of this connection may change the scene of a camera."""
    try:
        client.persist(schema.scene_key(camera))  # changes nothing: a scene has no end
    except redis.exceptions.NoPermissionError:
        return False
    return True


def _images_removed(pipeline: Any, camera: object) -> Command:
    """The command that takes the frames that the gear has processed out of their stream; the gear does it for others.

    The state of the gear is watched, so that no frame is left which it processes at this moment.
    """
    frames_key, tracker_key = schema.frames_key(camera), schema.tracker_key(camera)
    pipeline.watch(tracker_key)
    text = pipeline.get(tracker_key)
    ref = SavedTracker.from_text(text.decode(errors="replace") if text else None).ref
    if not ref:
        return ("XTRIM", frames_key, "MAXLEN", 0)
    milliseconds, number = streams.id_order(ref)
    return ("XTRIM", frames_key, "MINID", f"{milliseconds}-{number + 1}")


def _forget_what_was_written(shard: redis.Redis) -> None:
    """Let Redis write its file again, which has the frames of the time before."""
    try:
        shard.bgrewriteaof()
    except redis.ResponseError as error:
        # a user without that right, or a rewrite that runs already; the next one leaves the images out
        logger.warning("images of the time before stay in the file of Redis until it is written again: %s", error)


def _series_commands(pipeline: Any, camera_key: str, old: Scene, new: Scene) -> Iterator[Command]:
    """What has to be done to the series of a camera when its scene changes."""
    gone, made = set(series_of(old)) - set(series_of(new)), list(series_of(new))
    (old_lines, old_zones), (new_lines, new_zones) = scene_keys(old), scene_keys(new)
    pairs = [(line_series(was), line_series(name)) for name, was in renamed(old_lines, new_lines).items()]
    pairs += [(zone_series(was), zone_series(name)) for name, was in renamed(old_zones, new_zones).items()]
    for was, name in ((was, name) for olds, news in pairs for was, name in zip(olds, news, strict=True)):
        # a removed line may have left data under the new name: then this one continues there
        keys = [key for key, _ in keys_of(camera_key, was)]
        taken = pipeline.exists(*(key for key, _ in keys_of(camera_key, name)))
        if not taken and pipeline.exists(*keys) == len(keys):
            yield from rename_commands(camera_key, was, name)
            gone.discard(was)
            made.remove(name)
    for series in made:
        for command in create_commands(camera_key, series):
            if command[0] != "TS.CREATE" or not pipeline.exists(command[1]):
                yield command
        for key, _ in keys_of(camera_key, series):
            yield ("PERSIST", key)
    for series in sorted(gone):
        for key, retention_ms in keys_of(camera_key, series):
            yield ("PEXPIRE", key, retention_ms)


def _check(key: str, commands: list[Command], replies: list[Any]) -> None:
    for command, reply in zip(commands, replies, strict=True):
        # the gear may have created a series at the same moment, or the rule is there
        if isinstance(reply, Exception) and "already" not in str(reply):
            raise ServerError(f"{key}: {' '.join(map(str, command[:2]))} failed: {reply}") from reply
