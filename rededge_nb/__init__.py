"""Count people in live video from a Jupyter notebook, with a real Redis and the commands of RedisGears and RedisAI.

    from rededge_nb import Workbench

    wb = Workbench()
    wb.provision("0")
    wb.camera("0").capture("walking.mp4", pace="asap")

Everything in `__all__` is public: it stays where it is, and a change of it is announced in CHANGELOG.md. Other modules
may move from one version to the next.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rededge_nb._version import __version__
from rededge_nb.errors import (
    CameraInUseError,
    ConfigurationError,
    GearError,
    MissingModuleError,
    ModelCardError,
    ModelError,
    ModelImportError,
    NoDataError,
    PipelineError,
    RedEdgeError,
    SceneConflictError,
    SceneError,
    ServerError,
    ServerFullError,
    ServerUnavailableError,
    SourceError,
    TrackerStateError,
    UnsupportedPlatformError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
    from rededge_nb.analytics.scene import Scene
    from rededge_nb.analytics.tracking import Tracker
    from rededge_nb.camera import Camera
    from rededge_nb.capture.report import CaptureReport
    from rededge_nb.capture.run import Capture
    from rededge_nb.capture.sources import open_source
    from rededge_nb.capture.sources.synthetic import DrawnScene
    from rededge_nb.connection import connect
    from rededge_nb.control.executions import Execution, ExecutionDetails, ExecutionResults
    from rededge_nb.control.gears import RegistrationInfo
    from rededge_nb.control.inference import Timing, compare_backends, detect_people
    from rededge_nb.control.model_import import ImportedModel
    from rededge_nb.control.models import ModelCard, StoredModel
    from rededge_nb.display.axes import show_positions
    from rededge_nb.display.drawing import draw_boxes, draw_detections
    from rededge_nb.display.plots import plot_frame, plot_people, plot_rates, plot_steps, plot_timings, plot_tracks
    from rededge_nb.display.scene_plots import plot_crossings, plot_dwell, plot_zones
    from rededge_nb.display.tables import Table
    from rededge_nb.history.plots import plot_history, plot_week
    from rededge_nb.history.table import DataTable
    from rededge_nb.pipeline.figures import record
    from rededge_nb.reading.captures import CaptureRecord
    from rededge_nb.reading.detections import Detections
    from rededge_nb.reading.frames import FailedFrame, Frame
    from rededge_nb.reading.scores import (
        Found,
        ScoredScene,
        Scores,
        parse_truth,
        read_numbered,
        read_scored_scene,
        score,
    )
    from rededge_nb.reading.series import Series
    from rededge_nb.reading.summary import Summary
    from rededge_nb.reading.tracks import Track
    from rededge_nb.widgets.interactive import interactive_plot, progress_bar
    from rededge_nb.workbench import Workbench

__all__ = [
    "Camera",
    "CameraInUseError",
    "Capture",
    "CaptureRecord",
    "CaptureReport",
    "ConfigurationError",
    "DataTable",
    "Detections",
    "DrawnScene",
    "Execution",
    "ExecutionDetails",
    "ExecutionResults",
    "FailedFrame",
    "Found",
    "FoundBox",
    "Frame",
    "GearError",
    "ImportedModel",
    "MissingModuleError",
    "ModelCard",
    "ModelCardError",
    "ModelError",
    "ModelImportError",
    "NoDataError",
    "PipelineError",
    "RedEdgeError",
    "RegistrationInfo",
    "Scene",
    "SceneConflictError",
    "SceneError",
    "ScoredScene",
    "Scores",
    "Series",
    "ServerError",
    "ServerFullError",
    "ServerUnavailableError",
    "SourceError",
    "StoredModel",
    "Summary",
    "Table",
    "Timing",
    "Track",
    "Tracker",
    "TrackerStateError",
    "TruthBox",
    "UnsupportedPlatformError",
    "WaitTimeoutError",
    "Workbench",
    "__version__",
    "compare_backends",
    "connect",
    "detect_people",
    "draw_boxes",
    "draw_detections",
    "interactive_plot",
    "open_source",
    "parse_truth",
    "plot_crossings",
    "plot_dwell",
    "plot_frame",
    "plot_history",
    "plot_people",
    "plot_rates",
    "plot_steps",
    "plot_timings",
    "plot_tracks",
    "plot_week",
    "plot_zones",
    "progress_bar",
    "read_numbered",
    "read_scored_scene",
    "record",
    "score",
    "show_positions",
]

# These are imported when they are first used: `rededge --help` needs neither OpenCV nor matplotlib, and an installation
# without the extra `notebooks` has no widgets. Type checkers read the list above; a test compares the two.
_MODULE_OF = {
    name: f"rededge_nb.{module}"
    for module, names in {
        "analytics.ground_truth": ("FoundBox", "TruthBox"),
        "analytics.scene": ("Scene",),
        "analytics.tracking": ("Tracker",),
        "reading.scores": (
            "Found",
            "ScoredScene",
            "Scores",
            "parse_truth",
            "read_numbered",
            "read_scored_scene",
            "score",
        ),
        "capture.sources.synthetic": ("DrawnScene",),
        "camera": ("Camera",),
        "capture.report": ("CaptureReport",),
        "capture.run": ("Capture",),
        "capture.sources": ("open_source",),
        "connection": ("connect",),
        "control.executions": ("Execution", "ExecutionDetails", "ExecutionResults"),
        "control.gears": ("RegistrationInfo",),
        "control.inference": ("Timing", "compare_backends", "detect_people"),
        "control.model_import": ("ImportedModel",),
        "control.models": ("ModelCard", "StoredModel"),
        "display.axes": ("show_positions",),
        "display.drawing": ("draw_boxes", "draw_detections"),
        "display.plots": ("plot_frame", "plot_people", "plot_rates", "plot_steps", "plot_timings", "plot_tracks"),
        "display.scene_plots": ("plot_crossings", "plot_dwell", "plot_zones"),
        "display.tables": ("Table",),
        "history.plots": ("plot_history", "plot_week"),
        "history.table": ("DataTable",),
        "pipeline.figures": ("record",),
        "reading.captures": ("CaptureRecord",),
        "reading.detections": ("Detections",),
        "reading.frames": ("FailedFrame", "Frame"),
        "reading.series": ("Series",),
        "reading.summary": ("Summary",),
        "reading.tracks": ("Track",),
        "widgets.interactive": ("interactive_plot", "progress_bar"),
        "workbench": ("Workbench",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Add `%%gear` and `%redis` to a notebook: IPython calls this for `%load_ext rededge_nb`."""
    from rededge_nb.jupyter.magics import load

    load(shell)
