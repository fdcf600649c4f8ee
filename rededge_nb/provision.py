"""Provisioning: putting into a server all that counting people needs (`rededge init`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from rededge_nb import assets, schema
from rededge_nb.gears import list_registrations, register_gear
from rededge_nb.models import ModelCard, load_card, store_model
from rededge_nb.series import create_series

GEAR_DESCRIPTION = "counts people; script {digest}"


def provision(
    client: redis.Redis,
    *,
    cameras: Iterable[object] = ("0",),
    model: str = assets.DEFAULT_MODEL,
    gear: str = assets.PEOPLE_COUNTER,
) -> list[str]:
    """Load the model, make the cameras' series and rules, write the gear's settings, register the gear.

    What is there already is left alone, what differs is brought up to date; cameras known before stay.

    Args:
        client: a connection to the server.
        cameras: camera ids to add.
        model: name of a bundled model, or the path of a card.
        gear: name of a bundled gear, or the path of a script.

    Returns:
        What was changed, a sentence each; empty when all was there.

    Raises:
        ConfigurationError: a camera id or the model card is wrong.
        ModelError: the server refuses the model.
        GearError: the gear cannot be registered.
        MissingModuleError: the server has no RedisTimeSeries.
    """
    ids = [schema.camera_id(camera) for camera in cameras]
    card = load_card(assets.model_card_file(model))
    changes = _store(client, card)
    for camera in ids:
        changes += _in_short(create_series(client, camera), camera)
    changes += _write_settings(client, card)
    changes += _register(client, ids, assets.gear_file(gear))
    return changes


def use_model(client: redis.Redis, model: str) -> list[str]:
    """Load a model and let the gear use it; returns what was changed, a sentence each.

    Args:
        client: a connection to the server.
        model: name of a bundled model, or the path of a card.

    Raises:
        ModelCardError: the card or its file is missing or wrong.
        ModelError: the server refuses the model.
    """
    card = load_card(assets.model_card_file(model))
    return _store(client, card) + _write_settings(client, card)


def read_settings(client: redis.Redis) -> dict[str, str]:
    """What the running gear is told: model key, input size, thresholds."""
    found: dict[Any, Any] = client.hgetall(schema.GEAR_SETTINGS_KEY)
    return {name.decode(): value.decode() for name, value in found.items()}


def known_cameras(client: redis.Redis) -> list[str]:
    """Ids of the cameras that the gear is registered for."""
    members: Any = client.smembers(schema.CAMERAS_KEY)
    return sorted(member.decode() for member in members)


def _in_short(changes: list[str], camera: str) -> list[str]:
    """The changes of a camera's series; one sentence where all of them were made."""
    created = sum(change.startswith("created ") for change in changes)
    rules = sum(change.startswith("added rule ") for change in changes)
    if created + rules == len(changes) > 1:
        return [f"made {created} series and {rules} compaction rules for camera {camera}"]
    return changes


def _store(client: redis.Redis, card: ModelCard) -> list[str]:
    return [f"stored model {card.name} as {card.key}"] if store_model(client, card) else []


def _write_settings(client: redis.Redis, card: ModelCard) -> list[str]:
    """Tell the gear about the model. Thresholds that a user has set stay while the model is the same."""
    there = read_settings(client)
    wanted = {"model": card.key, "model_tag": card.tag, "width": str(card.input_wh[0]), "height": str(card.input_wh[1])}
    wanted |= {"class_id": str(card.class_id)}
    thresholds = {"confidence": str(card.confidence), "iou": str(card.iou)}
    same_model = there.get("model_tag") == card.tag
    wanted |= {name: value for name, value in thresholds.items() if not same_model or name not in there}
    changed = {name: value for name, value in wanted.items() if there.get(name) != value}
    if changed:
        client.hset(schema.GEAR_SETTINGS_KEY, items=[word for pair in changed.items() for word in pair])
    told = ", ".join(f"{name}={value}" for name, value in changed.items())
    return [f"told the gear {told}"] if changed else []


def _register(client: redis.Redis, cameras: list[str], path: Path) -> list[str]:
    script = path.read_text()
    added = client.sadd(schema.CAMERAS_KEY, *cameras) if cameras else 0
    known = {schema.frames_key(camera) for camera in known_cameras(client)}
    description = GEAR_DESCRIPTION.format(digest=hashlib.sha256(script.encode()).hexdigest()[:12])
    session = path.stem
    registered = [found for found in list_registrations(client) if found.session == session]
    current = all(found.session_description == description for found in registered)
    if registered and current and {found.stream for found in registered} == known and not added:
        return []
    register_gear(client, script, session=session, description=description)
    return [f"{'upgraded' if registered else 'registered'} gear {session} for {', '.join(sorted(known))}"]
