"""Models: read their cards; store, list and remove them with AI.* commands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import yaml

from rededge_nb.edge.client.shard import key_here
from rededge_nb.errors import ModelCardError, ModelError

DEVICE = "CPU"


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
    """Width and height of the model's input image, in pixels."""
    class_id: int
    """Index of the class that is counted."""
    confidence: float
    """Minimum confidence of a detection, 0 to 1."""
    iou: float
    """Two boxes with a higher IoU are one detection."""
    classes: tuple[str, ...]

    @property
    def tag(self) -> str:
        """Tag of the stored model: its name and the start of its digest."""
        return f"{self.name}@{self.sha256[:12]}"

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
        ModelCardError: the card is missing, is not YAML, or lacks a field.
    """
    try:
        fields: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(card.stem for card in path.parent.glob("*.yaml"))) or "none"
        raise ModelCardError(f"there is no model card {path}; cards in that folder: {known}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ModelCardError(f"the model card {path} cannot be read: {error}") from error
    try:
        return ModelCard(
            name=str(fields["name"]),
            key=str(fields["key"]),
            file=path.parent / str(fields["file"]),
            sha256=str(fields["sha256"]),
            backend=str(fields["backend"]),
            summary=str(fields.get("summary", "")),
            licence=str(fields["licence"]),
            origin=str(fields["origin"]).strip(),
            input_name=str(fields["input"]["name"]),
            input_wh=(int(fields["input"]["width"]), int(fields["input"]["height"])),
            class_id=int(fields["counting"]["class_id"]),
            confidence=float(fields["counting"]["confidence"]),
            iou=float(fields["counting"]["iou"]),
            classes=tuple(str(name) for name in fields["classes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelCardError(
            f"the model card {path} lacks or misspells a field ({type(error).__name__}: {error}); "
            "compare it with models/nanodet-g-416.yaml"
        ) from error


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


def store_model(client: redis.Redis, card: ModelCard) -> bool:
    """Store a card's model under its key. Returns False if it is stored already.

    Raises:
        ModelCardError: the model file does not match the card.
        ModelError: the server refuses the model.
    """
    key = key_of(client, card)
    stored = stored_model(client, key)
    if stored is not None and stored.tag == card.tag and stored.backend == card.backend:
        return False
    blob = card.read()
    try:
        client.execute_command("AI.MODELSTORE", key, card.backend, DEVICE, "TAG", card.tag, "BLOB", blob)
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
