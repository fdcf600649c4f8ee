"""A table of the stored models, a control that loads others, and the thresholds of the people counter."""

from __future__ import annotations

import math
from pathlib import Path

import ipywidgets
import redis

from rededge_nb import assets, schema
from rededge_nb.control import models, provision
from rededge_nb.display.tables import Table
from rededge_nb.errors import ConfigurationError
from rededge_nb.own_models import import_file
from rededge_nb.widgets.panels import Panel, button, named, on_enter, row
from rededge_nb.widgets.slider import Slider
from rededge_nb.widgets.status_text import StatusText
from rededge_nb.widgets.table_view import Pill, Row, TableView
from rededge_nb.widgets.upload import Upload

_COLUMNS = ("model", "state", "backend")
ONNX = ".onnx"
UPLOADED = "uploaded-models"
"""The folder for imported models that were dropped, beside the notebook."""


class ModelPanel(Panel):
    """Shows the stored models, loads others, and sets the confidence and the overlap of the people counter.

    The sliders write to the hash `people_counter:settings` at once, and they follow what other clients write there.

    Attributes:
        models: Table of the stored models.
        card: Name of a bundled model, or path of the card or of the ONNX file of any other.
        load_button: Calls `load`.
        upload: Where an ONNX file can be dropped; it is imported.
        sliders: By setting: `confidence` and `iou`.
        settings_error: What is wrong with the settings in Redis.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._seen: dict[str, float | None] = {}
        self.models = TableView(_COLUMNS, empty="no model is stored yet: load one")
        self.card = named(
            ipywidgets.Combobox(
                options=assets.bundled_models(),
                value=assets.DEFAULT_MODEL,
                placeholder="name of a model, or path of its card or ONNX file",
            ),
            "Model",
        )
        on_enter(self.card, self.load)
        self.load_button = button("Load model", "store this model, and let the people counter use it", self.load)
        self.upload = Upload([ONNX], on_received=self._import_upload)
        self.upload.text = "Drop an ONNX model here, or click to choose one"
        self.sliders = {
            "confidence": Slider("confidence", "lowest confidence of a detection"),
            "iou": Slider("overlap", "boxes that overlap more than this count as one detection (IoU)"),
        }
        for name, slider in self.sliders.items():
            slider.observe(lambda _, name=name: self.submit(lambda client: self._write(client, name)), "value")
        self.settings_error = StatusText()
        choices = [row(self.card, self.load_button), self.upload]
        parts = [self.models, *choices, *self.sliders.values(), self.settings_error]
        super().__init__(client, "Model", parts)
        self.start_updates()

    def load(self) -> None:
        """Store the model and let the people counter use it; returns at once. It replaces one with the same key."""
        name = str(self.card.value).strip()
        self.show_message(f"loading {name}")
        self.submit(lambda client: self._load(client, name))

    def refresh(self, client: redis.Redis) -> None:
        """Show the models and the settings that the server has."""
        settings = provision.read_settings(client)
        self._show_models(models.list_models(client), used=settings.get("model"))
        problems = [self._follow(name, settings.get(name)) for name in self.sliders]
        self.settings_error.show("; ".join(filter(None, problems)), "warning")

    def table(self) -> Table:
        """The models and the thresholds."""
        rows = self.models.texts() + [[name, f"{slider.value:g}", ""] for name, slider in self.sliders.items()]
        return Table(_COLUMNS, rows)

    def _load(self, client: redis.Redis, name: str) -> None:
        if not name:
            raise ConfigurationError("no model is named: choose one, or give the path of its card (.yaml)")
        model = Path(name)
        if model.suffix == ONNX and not model.with_suffix(".yaml").is_file():
            self._import(client, model, model.parent)
            return
        changes = provision.use_model(client, str(model.with_suffix(".yaml")) if model.suffix == ONNX else name)
        self.show_message("; ".join(changes) if changes else f"{name} is in use already", "good")

    def _import_upload(self, received: Path) -> None:
        self.submit(lambda client: self._import(client, received, Path(UPLOADED)))

    def _import(self, client: redis.Redis, model: Path, output: Path) -> None:
        self.show_message(f"importing {model.name}")
        result = import_file(model, output=output, use_in=client)
        self.show_message(str(result).replace("\n", "; "), "good")

    def _show_models(self, stored: list[models.StoredModel], used: str | None) -> None:
        self.models.show(
            [Row(each.key, (each.key, _IN_USE if each.key == used else "stored", each.backend)) for each in stored]
        )

    def _follow(self, name: str, text: str | None) -> str:
        """Set a slider to the value in Redis if that has changed; returns what is wrong with the value."""
        value = _number(text)
        slider = self.sliders[name]
        slider.disabled = text is None
        if text is not None and value is None:
            return f"{schema.GEAR_SETTINGS_KEY} has {name} = {text[:40]!r}: take a number from 0 to 1"
        # Only a new value: one that was read before the user moved the slider would move it back.
        if value is not None and value != self._seen.get(name):
            self._seen[name] = value
            slider.value = value
        return ""

    def _write(self, client: redis.Redis, name: str) -> None:
        value = round(float(self.sliders[name].value), 4)
        if value != self._seen.get(name):
            self._seen[name] = value
            client.hset(provision.settings_key(client), name, f"{value:g}")


_IN_USE = Pill("in use", "good")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
