"""Finding the models, gears and notebooks that are installed with the package.

In a checkout their folders are next to the package; in a wheel they are inside it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from rededge_nb.errors import ConfigurationError

PACKAGE = Path(__file__).parent

DEFAULT_MODEL = "nanodet-g-two-sizes"
MODEL_FAMILY = "nanodet-g-"
"""The names of the bundled models begin so; on a command line it may be left out, as in `fast`."""
PEOPLE_COUNTER = "people_counter"
BUNDLED_COUNTER = "counts people; script "
"""How the description of the bundled people counter's session begins; the script's digest follows."""
OWN_COUNTER = "counts people; own script "
"""How it begins for a user's script in its place."""
SAMPLE_VIDEO = "data/walking.mp4"
LINES_NOTEBOOK = "07_lines_and_zones"
NOTEBOOKS = (
    "01_load_model",
    "02_register_gear",
    "03_produce_frames",
    "04_watch_streams",
    "05_time_series",
    LINES_NOTEBOOK,
)
"""The notebooks that the pipeline runs, in this order."""


def folder(name: str) -> Path:
    """The folder `models`, `gears` or `notebooks`.

    Raises:
        ConfigurationError: The installation does not have it.
    """
    for candidate in (PACKAGE.parent / name, PACKAGE / "bundled" / name):
        if candidate.is_dir():
            return candidate
    raise ConfigurationError(
        f"this installation of rededge_nb does not have the folder {name!r}: install the package again"
    )


def bundled_models() -> list[str]:
    """Names of the bundled models."""
    return sorted(path.stem for path in folder("models").glob("*.yaml"))


def model_card_file(name: str = DEFAULT_MODEL) -> Path:
    """The file of a model card; `name` is a bundled model, such as `nanodet-g-fast` or `fast`, or a path."""
    path, bundled = Path(name), folder("models")
    if path.suffix in {".yaml", ".yml"}:
        return path
    short = bundled / f"{MODEL_FAMILY}{name}.yaml"
    return short if short.is_file() else bundled / f"{name}.yaml"


def gear_file(name: str = PEOPLE_COUNTER) -> Path:
    """The script of a gear; `name` is a bundled gear or a path."""
    path = Path(name)
    return path if path.suffix == ".py" else folder("gears") / f"{name}.py"


def counter_description(script: str, *, own: bool) -> str:
    """Description of the session that counts people with this script.

    Args:
        script: its text.
        own: whether a user gave it; else it is the bundled one.
    """
    return (OWN_COUNTER if own else BUNDLED_COUNTER) + hashlib.sha256(script.encode()).hexdigest()[:12]


def is_bundled(path: Path) -> bool:
    """Whether a model card or script is one of those in the package."""
    return path.resolve().parent in (folder("models").resolve(), folder("gears").resolve())


def sample_video() -> Path:
    """The bundled video: 795 frames of people crossing a road."""
    return folder("notebooks") / SAMPLE_VIDEO
