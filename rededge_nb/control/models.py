"""Models: read their cards; store, list and remove them with AI.* commands."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import yaml

from rededge_nb.analytics.counted import Counted, counted_classes
from rededge_nb.analytics.detecting import MULTIPLE, RESIZES, input_size
from rededge_nb.edge.client.shard import key_here
from rededge_nb.errors import ConfigurationError, ModelCardError, ModelError
from rededge_nb.yaml_files import read_yaml

CPU = "CPU"
_DEVICE = re.compile(r"(cpu|cuda|gpu)(:[0-9]{1,3})?", re.IGNORECASE)


@dataclass(frozen=True)
class TrackingThresholds:
    """Confidences of boxes that the tracker uses, 0 to 1; see `TrackerSettings`."""

    low: float
    """From this on a box can continue a track."""
    high: float
    """From this on a box takes part in the first pass."""
    new: float
    """From this on a box can begin a track."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a model."""

    time: float | None = None
    """Time of one run, relative to one run of nanodet-g-416."""
    ap: dict[str, float] = field(default_factory=dict)
    """Average precision at IoU 0.5 for people, by labelled video."""


@dataclass(frozen=True)
class ModelCard:
    """The content of a model's YAML card."""

    name: str
    key: str
    """Redis key of the model; in a Redis Cluster see `key_of`."""
    file: Path
    sha256: str
    backend: str
    summary: str
    licence: str
    origin: str
    input_name: str
    input_wh: tuple[int, int]
    """Width and height of the model's input image, in pixels; with `resize` "aspect" those for a frame of 4:3."""
    resize: str
    """How a frame becomes an input: "stretch", "aspect" or "letterbox"; see `analytics.detecting`."""
    multiple: int
    """With `resize` "aspect" width and height of the input are multiples of this."""
    class_id: int
    """Index of the class that is counted."""
    counted: Counted
    """What is counted: the words for it, and its series."""
    confidence: float
    """Minimum confidence of a detection, 0 to 1."""
    iou: float
    """Two boxes with a higher IoU are one detection."""
    tracking: TrackingThresholds | None
    """Thresholds of the tracker; None for a card that has none."""
    measured: Measured
    classes: tuple[str, ...]

    @property
    def tag(self) -> str:
        """Tag of the stored model: its name and the start of its digest."""
        return f"{self.name}@{self.sha256[:12]}"

    def input_size(self, frame_wh: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the model's input for a frame of this width and height, in pixels."""
        return input_size(frame_wh, self.input_wh, self.resize, self.multiple)

    def read(self) -> bytes:
        """Read the model file.

        Raises:
            ModelCardError: the file is missing, or does not match the card.
        """
        try:
            blob = self.file.read_bytes()
        except OSError as error:
            raise ModelCardError(f"the model file {self.file} of card {self.name!r} cannot be read: {error}") from error
        digest = hashlib.sha256(blob).hexdigest()
        if digest != self.sha256:
            raise ModelCardError(
                f"{self.file} has sha256 {digest}, but its card says {self.sha256}: "
                "the file was changed or damaged; if you changed it on purpose, write the new digest into the card"
            )
        return blob


def load_card(path: Path) -> ModelCard:
    """Read a model's YAML card.

    Raises:
        ModelCardError: the card is missing, is not YAML, lacks a field, or has a value that is not allowed.
    """
    try:
        fields: Any = read_yaml(path)
    except FileNotFoundError:
        known = ", ".join(sorted(card.stem for card in path.parent.glob("*.yaml"))) or "none"
        raise ModelCardError(f"there is no model card {path}; cards in that folder: {known}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ModelCardError(f"the model card {path} cannot be read: {error}") from error
    try:
        card = ModelCard(
            name=_text(fields["name"]),
            key=_text(fields["key"]),
            file=path.parent / _text(fields["file"]),
            sha256=_text(fields["sha256"]),
            backend=_text(fields["backend"]),
            summary=_text(fields.get("summary", "")),
            licence=_text(fields["licence"]),
            origin=_text(fields["origin"]).strip(),
            input_name=_text(fields["input"]["name"]),
            input_wh=(int(_text(fields["input"]["width"])), int(_text(fields["input"]["height"]))),
            resize=_text(fields["input"].get("resize", "stretch")),
            multiple=int(_text(fields["input"].get("multiple", MULTIPLE))),
            class_id=int(_text(fields["counting"]["class_id"])),
            counted=_counted(fields),
            confidence=float(_text(fields["counting"]["confidence"])),
            iou=float(_text(fields["counting"]["iou"])),
            tracking=_tracking(fields.get("tracking")),
            measured=_measured(fields.get("measured")),
            classes=tuple(_text(name) for name in fields["classes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelCardError(
            f"the model card {path} lacks or misspells a field ({type(error).__name__}: {error}); "
            "compare it with models/nanodet-g-416.yaml"
        ) from error
    _check(card, path)
    return card


def _text(value: object) -> str:
    """One value as text.

    Raises:
        TypeError: It is a list or a mapping, or no value at all.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"a text or a number is needed, and a value of the type {type(value).__name__} is there")
    return str(value)


def _counted(fields: Any) -> Counted:
    """What is counted: as the card says, else the class of `class_id`.

    Raises:
        ValueError: The card gives a plural for people.
    """
    counting, names = fields["counting"], [_text(name) for name in fields["classes"]]
    class_id = int(_text(counting["class_id"]))
    # a model whose class has several names, such as "person or rider", which were counted as people
    of_place = names[class_id].split(" or ") if 0 <= class_id < len(names) else []
    wanted = _text(counting["class"]).split("+") if "class" in counting else of_place
    return counted_classes([name for name in wanted if name], _text(counting.get("plural", "")))


def _tracking(fields: Any) -> TrackingThresholds | None:
    if fields is None:
        return None
    return TrackingThresholds(*(float(_text(fields[name])) for name in ("low", "high", "new")))


def _measured(fields: Any) -> Measured:
    if fields is None:
        return Measured()
    ap = {_text(video): float(_text(value)) for video, value in fields.get("ap", {}).items()}
    return Measured(float(_text(fields["time"])) if "time" in fields else None, ap)


def _check(card: ModelCard, path: Path) -> None:
    """Refuse values that would silently give wrong counts."""
    problems = []
    if card.resize not in RESIZES:
        problems.append(f"input.resize is {card.resize!r}: write {', '.join(RESIZES)}")
    if min(*card.input_wh, card.multiple) < 1:
        problems.append(
            f"input is {card.input_wh[0]}x{card.input_wh[1]}, multiple {card.multiple}: 1 or more is needed"
        )
    if not 0 <= card.class_id < len(card.classes):
        problems.append(f"counting.class_id is {card.class_id}, and there are {len(card.classes)} classes, from 0")
    for name, value in (("confidence", card.confidence), ("iou", card.iou)):
        if not 0 <= value <= 1:
            problems.append(f"counting.{name} is {value}: a number from 0 to 1 is needed")
    tracking = card.tracking
    if tracking is not None and not 0 <= tracking.low <= tracking.high <= tracking.new <= 1:
        problems.append(
            f"tracking has low {tracking.low}, high {tracking.high} and new {tracking.new}: numbers from 0 to 1 in "
            "ascending order are needed"
        )
    if problems:
        raise ModelCardError(f"the model card {path} cannot be used: {'; '.join(problems)}")


@dataclass(frozen=True)
class StoredModel:
    """A model, as the server describes it."""

    key: str
    backend: str
    device: str
    tag: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def stored_model(client: redis.Redis, key: str) -> StoredModel | None:
    """Return the model under `key`, or None."""
    try:
        flat = client.execute_command("AI.MODELGET", key, "META")
    except redis.ResponseError as error:
        if "model key is empty" in str(error):
            return None
        raise ModelError(f"AI.MODELGET {key} META: {error}") from error
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return StoredModel(
        key=key,
        backend=fields[b"backend"].decode(),
        device=fields[b"device"].decode(),
        tag=fields[b"tag"].decode(),
        inputs=tuple(name.decode() for name in fields[b"inputs"]),
        outputs=tuple(name.decode() for name in fields[b"outputs"]),
    )


def key_of(client: redis.Redis, card: ModelCard) -> str:
    """Return the key of a card's model on this server: that of the card, on a shard of a cluster with its tag."""
    return key_here(client, card.key)


def redis_device(device: str) -> str:
    """What Redis calls a device: `CPU`, or `GPU:0` for `cuda:0`.

    Args:
        device: `cpu`; or `cuda:0` for the first GPU of NVIDIA, `cuda:1` for the second. Redis' names may be given, too.

    Raises:
        ConfigurationError: It is another word.
    """
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"the device is {device!r}: write cpu, or cuda:0 for the first GPU of NVIDIA")
    name = device.upper().replace("CUDA", "GPU")
    return "GPU:0" if name == "GPU" else name


def is_stored(client: redis.Redis, card: ModelCard, device: str | None = None) -> bool:
    """Whether a card's model is stored, in this version, and on that device if one is given."""
    stored = stored_model(client, key_of(client, card))
    if stored is None or (stored.tag, stored.backend) != (card.tag, card.backend):
        return False
    return device is None or redis_device(stored.device) == redis_device(device)


def store_model(client: redis.Redis, card: ModelCard, device: str | None = None) -> bool:
    """Store a card's model under its key. Returns False if it is stored already.

    Args:
        client: Connected to the server.
        card: The model's card.
        device: Where the workers run it, as in `redis_device`; default: where they run the model with that key now, or
            the CPU.

    Raises:
        ModelCardError: the model file does not match the card.
        ModelError: the server refuses the model; for `cuda:0` because CUDA does not work where the worker is.
        ConfigurationError: the device is another word.
    """
    if is_stored(client, card, device):
        return False
    key = key_of(client, card)
    if device is None:
        stored = stored_model(client, key)
        device = CPU if stored is None else stored.device
    blob, on = card.read(), redis_device(device)
    try:
        client.execute_command("AI.MODELSTORE", key, card.backend, on, "TAG", card.tag, "BLOB", blob)
    except redis.ResponseError as error:
        raise ModelError(f"AI.MODELSTORE {key} {card.backend} (from {card.file}): {error}") from error
    return True


def list_models(client: redis.Redis) -> list[StoredModel]:
    """Return all models in the server, sorted by key."""
    keys = sorted(key.decode() for key, _ in client.execute_command("AI._MODELSCAN"))
    return [model for key in keys if (model := stored_model(client, key)) is not None]


def model_memory(client: redis.Redis) -> dict[str, int]:
    """Return the bytes that each stored model takes in the worker that answers, by key; 0 if it is not loaded there.

    The result is empty for a server with the original RedisAI, which does not report it.
    """
    memory: dict[str, int] = {}
    for key, _ in client.execute_command("AI._MODELSCAN"):
        fields = client.execute_command("AI.INFO", key, "MEMORY")
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        if b"memory" in values:
            memory[key.decode()] = values[b"memory"]
    return memory


def remove_model(client: redis.Redis, key: str) -> None:
    """Delete a model.

    Raises:
        ModelError: there is no model under that key.
    """
    try:
        client.execute_command("AI.MODELDEL", key)
    except redis.ResponseError as error:
        raise ModelError(f"AI.MODELDEL {key}: {error}") from error
