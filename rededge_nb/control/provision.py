"""Provisioning: putting into a server all that counting people needs (`rededge init`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis

from rededge_nb import assets, schema
from rededge_nb.connection import by_shard
from rededge_nb.control.gears import list_registrations, read_script, register_gear
from rededge_nb.control.models import ModelCard, key_of, load_card, store_model, stored_model
from rededge_nb.edge.client.shard import is_here, key_here
from rededge_nb.errors import GearError
from rededge_nb.reading.series import create_series


@dataclass(frozen=True)
class _Counter:
    """A script that counts people."""

    script: str
    own: bool
    """Whether a user gave it; else it is the bundled one, and follows that."""

    @property
    def description(self) -> str:
        return assets.counter_description(self.script, own=self.own)


def provision(
    client: redis.Redis,
    *,
    cameras: Iterable[object] = ("0",),
    model: str | None = None,
    gear: str | None = None,
) -> list[str]:
    """Load the model, make the cameras' series and rules, write the gear's settings, register the gear.

    What is there already is left alone, what differs is brought up to date; cameras known before stay. In a Redis
    Cluster each shard gets what its own cameras need, whichever shard the client is connected to.

    Args:
        client: a connection to the server.
        cameras: camera ids to add.
        model: name of a bundled model, or the path of a card. Without one a model of the user's that the gear runs
            stays, and else the bundled one is brought up to date.
        gear: name of a bundled gear, or the path of a script, which is kept in Redis for cameras that come later.
            Without one a gear of the user's stays, and else the bundled one is brought up to date.

    Returns:
        What was changed, a sentence each; empty when all was there.

    Raises:
        ConfigurationError: a camera id or the model card is wrong, or a camera's keys would lie on several shards.
        ModelError: the server refuses the model.
        GearError: the gear's script cannot be read or registered, or was registered by hand and lacks a camera.
        MissingModuleError: the server has no RedisTimeSeries.
    """
    ids = [schema.camera_id(camera) for camera in cameras]
    card_file = assets.model_card_file(model or assets.DEFAULT_MODEL)
    card = load_card(card_file)
    script_file = assets.gear_file(gear or assets.PEOPLE_COUNTER)
    counter = _Counter(read_script(script_file), own=not assets.is_bundled(script_file))
    changes = []
    for shard, own in by_shard(client, ids):
        keeps_model = model is None and _runs_own_model(shard, card)
        changes += [] if keeps_model else _store(shard, card)
        for camera in own:
            changes += _in_short(create_series(shard, camera), camera)
        changes += [] if keeps_model else _write_settings(shard, card, own=not assets.is_bundled(card_file))
        if gear is None:
            changes += _register(shard, own, _kept(shard) or counter, keep_other=True)
        else:
            changes += _register(shard, own, counter, keep_other=False)
            _keep(shard, counter)
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
    card_file = assets.model_card_file(model)
    card = load_card(card_file)
    return _store(client, card) + _write_settings(client, card, own=not assets.is_bundled(card_file))


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


def _runs_own_model(client: redis.Redis, bundled: ModelCard) -> bool:
    """Whether the gear was told to run a model of the user's, and that one is stored."""
    there = read_settings(client)
    key = there.get("model")
    if key is None or (key == key_of(client, bundled) and there.get("model_from") != "card"):
        return False
    return stored_model(client, key) is not None


def _write_settings(client: redis.Redis, card: ModelCard, *, own: bool) -> list[str]:
    """Tell the gear about the model. Thresholds that a user has set stay while the model is the same."""
    there = read_settings(client)
    # a card of the user's may have the bundled one's name and key
    wanted = {"model": key_of(client, card), "model_tag": card.tag, "model_from": "card" if own else "bundled"}
    wanted |= {"width": str(card.input_wh[0]), "height": str(card.input_wh[1]), "class_id": str(card.class_id)}
    thresholds = {"confidence": str(card.confidence), "iou": str(card.iou)}
    same_model = there.get("model_tag") == card.tag
    wanted |= {name: value for name, value in thresholds.items() if not same_model or name not in there}
    changed = {name: value for name, value in wanted.items() if there.get(name) != value}
    if changed:
        client.hset(settings_key(client), items=[word for pair in changed.items() for word in pair])
    told = ", ".join(f"{name}={value}" for name, value in changed.items())
    return [f"told the gear {told}"] if changed else []


def _kept(client: redis.Redis) -> _Counter | None:
    """The user's own gear, if one was given."""
    script: Any = client.get(key_here(client, schema.OWN_GEAR_KEY))
    return None if script is None else _Counter(script.decode(), own=True)


def _keep(client: redis.Redis, counter: _Counter) -> None:
    """Keep the script of a user's own gear: a camera that comes later needs it, and its file may be elsewhere then."""
    key = key_here(client, schema.OWN_GEAR_KEY)
    if counter.own:
        client.set(key, counter.script)
    else:
        client.delete(key)


def _register(client: redis.Redis, cameras: list[str], counter: _Counter, *, keep_other: bool) -> list[str]:
    """Register the gear for these cameras and the known ones; `keep_other` keeps a gear that was registered by hand."""
    key = key_here(client, schema.CAMERAS_KEY)
    moved = [camera for camera in known_cameras(client) if not is_here(client, schema.frames_key(camera))]
    if moved:
        client.srem(key, *moved)
    added = client.sadd(key, *cameras) if cameras else 0
    known = {schema.frames_key(camera) for camera in known_cameras(client)}
    # whatever its file is called: two gears on one stream would take the frames from each other
    session = assets.PEOPLE_COUNTER
    registered = [found for found in list_registrations(client) if found.session == session]
    streams = {found.stream for found in registered}
    others = [found for found in registered if found.session_description != counter.description]
    if keep_other and any(not found.session_description.startswith(assets.BUNDLED_COUNTER) for found in others):
        if known <= streams:
            return []
        raise GearError(
            f"the gear {session!r} was registered by hand, for {', '.join(sorted(streams))}: to have it read "
            f"{', '.join(sorted(known - streams))} too, register its script again, or give that to "
            f"`rededge init --gear`, which keeps it for cameras to come (`--gear {session}` takes the bundled one)"
        )
    if registered and not others and streams == known and not added:
        return []
    register_gear(client, counter.script, session=session, description=counter.description)
    return [f"{'upgraded' if registered else 'registered'} gear {session} for {', '.join(sorted(known))}"]
