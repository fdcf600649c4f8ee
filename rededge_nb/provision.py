"""Provisioning: putting into a server all that counting people needs (`rededge init`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from rededge_nb import assets, schema
from rededge_nb.connection import by_shard
from rededge_nb.edge.shard import is_here, key_here
from rededge_nb.gears import list_registrations, register_gear
from rededge_nb.models import ModelCard, key_of, load_card, store_model
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

    What is there already is left alone, what differs is brought up to date; cameras known before stay. In a Redis
    Cluster each shard gets what its own cameras need, whichever shard the client is connected to.

    Args:
        client: a connection to the server.
        cameras: camera ids to add.
        model: name of a bundled model, or the path of a card.
        gear: name of a bundled gear, or the path of a script.

    Returns:
        What was changed, a sentence each; empty when all was there.

    Raises:
        ConfigurationError: a camera id or the model card is wrong, or a camera's keys would lie on several shards.
        ModelError: the server refuses the model.
        GearError: the gear cannot be registered.
        MissingModuleError: the server has no RedisTimeSeries.
    """
    ids = [schema.camera_id(camera) for camera in cameras]
    card = load_card(assets.model_card_file(model))
    changes = []
    for shard, own in by_shard(client, ids):
        changes += _store(shard, card)
        for camera in own:
            changes += _in_short(create_series(shard, camera), camera)
        changes += _write_settings(shard, card)
        changes += _register(shard, own, assets.gear_file(gear))
    return changes


def use_model(client: redis.Redis, model: str) -> list[str]:
    """Load a model and let the gear use it; returns what was changed, a sentence each. In a cluster, on this shard.

    Args:
        client: a connection to the server.
        model: name of a bundled model, or the path of a card.

    Raises:
        ModelCardError: the card or its file is missing or wrong.
        ModelError: the server refuses the model.
    """
    card = load_card(assets.model_card_file(model))
    return _store(client, card) + _write_settings(client, card)


def settings_key(client: redis.Redis) -> str:
    """Key of what the running gear is told."""
    return key_here(client, schema.GEAR_SETTINGS_KEY)


def read_settings(client: redis.Redis) -> dict[str, str]:
    """What the running gear is told: model key, input size, thresholds."""
    found: dict[Any, Any] = client.hgetall(settings_key(client))
    return {name.decode(): value.decode() for name, value in found.items()}


def known_cameras(client: redis.Redis) -> list[str]:
    """Ids of the cameras that the gear is registered for."""
    members: Any = client.smembers(key_here(client, schema.CAMERAS_KEY))
    return sorted(member.decode() for member in members)


def _in_short(changes: list[str], camera: str) -> list[str]:
    """The changes of a camera's series; one sentence where all of them were made."""
    created = sum(change.startswith("created ") for change in changes)
    rules = sum(change.startswith("added rule ") for change in changes)
    if created + rules == len(changes) > 1:
        return [f"made {created} series and {rules} compaction rules for camera {camera}"]
    return changes


def _store(client: redis.Redis, card: ModelCard) -> list[str]:
    return [f"stored model {card.name} as {key_of(client, card)}"] if store_model(client, card) else []


def _write_settings(client: redis.Redis, card: ModelCard) -> list[str]:
    """Tell the gear about the model. Thresholds that a user has set stay while the model is the same."""
    there = read_settings(client)
    wanted = {"model": key_of(client, card), "model_tag": card.tag}
    wanted |= {"width": str(card.input_wh[0]), "height": str(card.input_wh[1]), "class_id": str(card.class_id)}
    thresholds = {"confidence": str(card.confidence), "iou": str(card.iou)}
    same_model = there.get("model_tag") == card.tag
    wanted |= {name: value for name, value in thresholds.items() if not same_model or name not in there}
    changed = {name: value for name, value in wanted.items() if there.get(name) != value}
    if changed:
        client.hset(settings_key(client), items=[word for pair in changed.items() for word in pair])
    told = ", ".join(f"{name}={value}" for name, value in changed.items())
    return [f"told the gear {told}"] if changed else []


def _register(client: redis.Redis, cameras: list[str], path: Path) -> list[str]:
    script = path.read_text()
    key = key_here(client, schema.CAMERAS_KEY)
    moved = [camera for camera in known_cameras(client) if not is_here(client, schema.frames_key(camera))]
    if moved:
        client.srem(key, *moved)
    added = client.sadd(key, *cameras) if cameras else 0
    known = {schema.frames_key(camera) for camera in known_cameras(client)}
    description = GEAR_DESCRIPTION.format(digest=hashlib.sha256(script.encode()).hexdigest()[:12])
    session = path.stem
    registered = [found for found in list_registrations(client) if found.session == session]
    current = all(found.session_description == description for found in registered)
    if registered and current and {found.stream for found in registered} == known and not added:
        return []
    register_gear(client, script, session=session, description=description)
    return [f"{'upgraded' if registered else 'registered'} gear {session} for {', '.join(sorted(known))}"]
