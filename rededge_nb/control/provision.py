"""Provisioning (`rededge init`): give a server everything that it needs to count people.

The user's choices survive: a model or gear of the user's own stays in use until another one is chosen. Everything that
comes with the package follows the package, so a new version upgrades the bundled model and gear. But while workers run
that have loaded another version of the package, the gear that counts there stays as it is: the new one may fail there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import redis

from rededge_nb import assets, schema
from rededge_nb.connection import by_shard
from rededge_nb.control.gears import list_registrations, read_script, register_gear
from rededge_nb.control.inference import check_model_runs
from rededge_nb.control.models import (
    CPU,
    ModelCard,
    is_stored,
    key_of,
    load_card,
    redis_device,
    store_model,
    stored_model,
)
from rededge_nb.control.worker_code import STALE, other_code
from rededge_nb.edge.client.shard import is_here, key_here
from rededge_nb.errors import GearError
from rededge_nb.lease import hold_lease
from rededge_nb.reading.series import create_series

_TIMEOUT = 120.0
"""Seconds to wait for another process that provisions the server."""


@dataclass(frozen=True)
class _Counter:
    """The script of a gear that counts people."""

    script: str
    own: bool
    """Whether it is the user's; otherwise it is the bundled one, and is upgraded with it."""

    @property
    def description(self) -> str:
        return assets.counter_description(self.script, own=self.own)


DEFAULT, NAMED, OWN_CARD = "bundled", "named", "card"
"""Why the gear runs its model (`model_from`): it is the default one; the user has named a bundled one, or a card."""


@dataclass(frozen=True)
class _Choice:
    """A model for the gear, and why it is chosen."""

    card: ModelCard
    reason: str

    @classmethod
    def named(cls, model: str) -> _Choice:
        """The model that a user names: a bundled one, or the path of a card."""
        card_file = assets.model_card_file(model)
        if not assets.is_bundled(card_file):
            return cls(load_card(card_file), OWN_CARD)
        return cls(load_card(card_file), DEFAULT if card_file.stem == assets.DEFAULT_MODEL else NAMED)


def provision(
    client: redis.Redis,
    *,
    cameras: Iterable[object] = ("0",),
    model: str | None = None,
    gear: str | None = None,
    device: str | None = None,
) -> list[str]:
    """Store the model, create series and rules of the cameras, write the settings of the gear, register the gear.

    Existing things that differ are updated, and the others stay. Known cameras are kept. In a Redis Cluster each shard
    gets what its own cameras need, whichever shard the client is connected to.

    Args:
        client: Connected to the server.
        cameras: Ids of cameras to add.
        model: Name of a bundled model, or path of a card. Default: keep the model that a user has chosen, otherwise
            use the default one; a bundled model is updated.
        gear: Name of a bundled gear, or path of a script, which is stored in Redis for cameras that are added later.
            Default: keep the user's own gear if there is one, otherwise update the bundled one.
        device: Where the workers run the model: `cpu`, or `cuda:0` for the first GPU of NVIDIA, which each worker
            needs then. Default: where they run the present model. A model of the user's own stays as it is stored,
            unless it is named.

    Returns:
        One sentence for each change.

    Raises:
        ConfigurationError: a camera id, the model card or the device is wrong, or a camera's keys would be on several
            shards.
        ModelError: the server refuses the model, or it cannot run on the GPU.
        GearError: the gear's script cannot be read or registered, or was registered by hand and lacks a camera.
        MissingModuleError: the server has no RedisTimeSeries.
        WaitTimeoutError: another process provisions the server and does not come to an end.
    """
    ids = [schema.camera_id(camera) for camera in cameras]
    named = None if model is None else _Choice.named(model)
    script_file = assets.gear_file(gear or assets.PEOPLE_COUNTER)
    counter = _Counter(read_script(script_file), own=not assets.is_bundled(script_file))
    changes = []
    for shard, own in by_shard(client, ids):
        # two at the same moment would disturb each other: each does only what it finds missing
        with hold_lease(shard, key_here(shard, schema.PROVISIONING_KEY), timeout=_TIMEOUT):
            kept = None if gear is not None else _kept(shard)
            old = "" if (kept or counter).own else other_code(shard, patience=STALE)
            if old and model is gear is device is None and _counts_already(shard, own):
                changes.append(f"kept what counts as it is: {old}")
                continue
            choice = named or _present_choice(shard)
            changes += _store(shard, choice.card, device) if choice else []
            for camera in own:
                changes += _summary(create_series(shard, camera), camera)
            changes += _write_settings(shard, choice) if choice else []
            if gear is None:
                changes += _register(shard, own, kept or counter, keep_other=True, old=old)
            else:
                changes += _register(shard, own, counter, keep_other=False)
                _keep(shard, counter)
            changes += [f"warning: {old}"] if old else []
    return changes


def use_model(client: redis.Redis, model: str, device: str | None = None) -> list[str]:
    """Store a model and let the gear use it, in a cluster on this shard. Returns one sentence for each change.

    A model of the user's own runs once first, so that one that cannot run never takes the place of one that can.

    Args:
        client: Connected to the server.
        model: Name of a bundled model, or path of a card.
        device: As in `provision`.

    Raises:
        ModelCardError: the card or its file is missing or wrong.
        ConfigurationError: the device is wrong.
        ModelError: the server refuses the model, or it cannot be run.
    """
    choice = _Choice.named(model)
    return _store(client, choice.card, device, check=choice.reason == OWN_CARD) + _write_settings(client, choice)


def settings_key(client: redis.Redis) -> str:
    """Key of the settings of the running gear."""
    return key_here(client, schema.GEAR_SETTINGS_KEY)


def read_settings(client: redis.Redis) -> dict[str, str]:
    """Return the settings of the running gear: key of the model, input size, thresholds."""
    found: dict[Any, Any] = client.hgetall(settings_key(client))
    return {name.decode(): value.decode() for name, value in found.items()}


def known_cameras(client: redis.Redis) -> list[str]:
    """Return the ids of the cameras that the gear is registered for."""
    members: Any = client.smembers(key_here(client, schema.CAMERAS_KEY))
    return sorted(member.decode() for member in members)


def _summary(changes: list[str], camera: str) -> list[str]:
    """Summarize the changes of a camera's series in one sentence if all of them are new."""
    created = sum(change.startswith("created ") for change in changes)
    rules = sum(change.startswith("added rule ") for change in changes)
    if created + rules == len(changes) > 1:
        return [f"created {created} series and {rules} compaction rules for camera {camera}"]
    return changes


def _store(client: redis.Redis, card: ModelCard, device: str | None, *, check: bool = False) -> list[str]:
    """Store a model unless it is there; on a GPU, or to `check` it, it runs once first."""
    on = redis_device(device or _present_device(client, card))
    if is_stored(client, card, on):
        return []
    if check or on != CPU:
        check_model_runs(client, card, on)
    store_model(client, card, on)
    return [f"stored model {card.name} as {key_of(client, card)}" + (f" on {on}" if on != CPU else "")]


def _present_device(client: redis.Redis, card: ModelCard) -> str:
    """Where a card's model is stored, or else the model that the gear runs."""
    for key in (key_of(client, card), read_settings(client).get("model")):
        stored = stored_model(client, key) if key else None
        if stored is not None:
            return stored.device
    return CPU


def _present_choice(client: redis.Redis) -> _Choice | None:
    """The model that the gear should run when none is named; None if it runs one whose card only the user has."""
    present = read_settings(client)
    key, reason = present.get("model"), present.get("model_from")
    cards = [load_card(assets.model_card_file(name)) for name in assets.bundled_models()]
    bundled = {key_of(client, card): card for card in cards}
    # a card of the user's may have the key of a bundled one; and `model` may have been written by hand
    own = key is not None and (reason == OWN_CARD or key not in bundled)
    if key is not None and own and stored_model(client, key) is not None:
        return None
    if reason == NAMED and key in bundled and not own:
        return _Choice(bundled[key], NAMED)
    return _Choice(load_card(assets.model_card_file()), DEFAULT)


def _write_settings(client: redis.Redis, choice: _Choice) -> list[str]:
    """Write what the gear has to know about the model.

    Thresholds that a user has set stay while the model is the same. Those of another model are replaced together.
    """
    card, present = choice.card, read_settings(client)
    wanted = {"model": key_of(client, card), "model_tag": card.tag, "model_from": choice.reason}
    wanted |= {"width": str(card.input_wh[0]), "height": str(card.input_wh[1])}
    wanted |= {"resize": card.resize, "multiple": str(card.multiple), "class_id": str(card.class_id)}
    wanted |= {"class": card.counted.name, "plural": card.counted.plural, "series": card.counted.series}
    thresholds = {"confidence": str(card.confidence), "iou": str(card.iou)}
    margins = {} if card.tracking is None else asdict(card.tracking)
    thresholds |= {f"tracking_{name}": f"{value - card.confidence:+.4g}" for name, value in margins.items()}
    same_model = present.get("model_tag") == card.tag
    wanted |= {name: value for name, value in thresholds.items() if not same_model or name not in present}
    changed = {name: value for name, value in wanted.items() if present.get(name) != value}
    # what the last model's card had, and this one's lacks, must not apply to this one
    stale = [] if same_model or margins else [name for name in present if name.startswith("tracking_")]
    with client.pipeline(transaction=True) as pipeline:
        if stale:
            pipeline.hdel(settings_key(client), *stale)
        if changed:
            pipeline.hset(settings_key(client), items=[word for pair in changed.items() for word in pair])
        pipeline.execute()
    values = ", ".join(f"{name}={value}" for name, value in changed.items())
    return [f"set for the gear: {values}"] if changed else []


def _kept(client: redis.Redis) -> _Counter | None:
    """Return the user's own gear, or None."""
    script: Any = client.get(key_here(client, schema.OWN_GEAR_KEY))
    return None if script is None else _Counter(script.decode(), own=True)


def _keep(client: redis.Redis, counter: _Counter) -> None:
    """Store the script of a user's own gear: cameras that are added later need it, maybe without its file."""
    key = key_here(client, schema.OWN_GEAR_KEY)
    if counter.own:
        client.set(key, counter.script)
    else:
        client.delete(key)


def _counts_already(client: redis.Redis, cameras: list[str]) -> bool:
    """Whether the bundled gear of any version is registered for these cameras and the known ones."""
    registered = [found for found in list_registrations(client) if found.session == assets.PEOPLE_COUNTER]
    bundled = {found.stream for found in registered if found.session_description.startswith(assets.BUNDLED_COUNTER)}
    return bool(bundled) and {schema.frames_key(each) for each in (*cameras, *known_cameras(client))} <= bundled


def _register(
    client: redis.Redis, cameras: list[str], counter: _Counter, *, keep_other: bool, old: str = ""
) -> list[str]:
    """Register the gear for these cameras and the known ones.

    Args:
        client: Connected to the server.
        cameras: Ids of cameras.
        counter: The gear.
        keep_other: Keep a gear that was registered by hand.
        old: Why the gear must not take the place of another one now.
    """
    key = key_here(client, schema.CAMERAS_KEY)
    moved = [camera for camera in known_cameras(client) if not is_here(client, schema.frames_key(camera))]
    if moved:
        client.srem(key, *moved)
    new = sorted({*cameras} - {*known_cameras(client)})
    if new:
        client.sadd(key, *new)
    known = {schema.frames_key(camera) for camera in known_cameras(client)}
    # the same session for every file name: two gears on one stream would take frames away from each other
    session = assets.PEOPLE_COUNTER
    registered = [found for found in list_registrations(client) if found.session == session]
    streams = {found.stream for found in registered}
    others = [found for found in registered if found.session_description != counter.description]
    if keep_other and any(not found.session_description.startswith(assets.BUNDLED_COUNTER) for found in others):
        if known <= streams:
            return []
        raise GearError(
            f"the gear {session!r} was registered by hand, for {', '.join(sorted(streams))}: to let it read "
            f"{', '.join(sorted(known - streams))} too, register its script again, or use "
            f"`rededge init --gear SCRIPT`, also for future cameras (`--gear {session}` uses the bundled gear)"
        )
    if registered and not others and streams == known and not new:
        return []
    missing = sorted(known - streams)
    if others and old and not missing:
        return []
    if others and old:
        if new:
            client.srem(key, *new)
        raise GearError(f"the gear {session!r} was not registered for {', '.join(missing)}: {old}")
    only_added = bool(registered) and not others and not any(found.cannot_run for found in registered)
    register_gear(client, counter.script, session=session, description=counter.description, keep_unchanged=only_added)
    word, concerned = ("registered", known - streams or known) if only_added or not registered else ("upgraded", known)
    return [f"{word} gear {session} for {', '.join(sorted(concerned))}"]
