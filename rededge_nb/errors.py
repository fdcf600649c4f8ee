"""All exceptions that the package raises.

    RedEdgeError
    ├── ConfigurationError (ValueError)        a setting, argument or file is wrong
    │   ├── ModelCardError                     a model's YAML card is wrong
    │   ├── ModelImportError                   a model file cannot be imported
    │   ├── SceneError                         a scene is wrong; names the field
    │   │   └── SceneConflictError             somebody else has saved the scene meanwhile
    │   └── TrackerStateError                  a tracker's saved state is damaged
    ├── ServerError (RuntimeError)             the embedded server could not be started or stopped
    │   └── UnsupportedPlatformError           no redis-server wheel for this platform
    ├── ServerUnavailableError (ConnectionError)   the server does not answer, or refuses the password
    ├── ServerFullError (MemoryError)          the server has reached its maxmemory
    ├── MissingModuleError (RuntimeError)      the server does not have RedisTimeSeries or the edge module
    ├── SourceError (OSError)                  a frame source cannot be opened or read
    ├── CameraInUseError (RuntimeError)        another capture feeds the camera
    ├── ModelError (RuntimeError)              a model could not be stored or run
    ├── GearError (RuntimeError)               a gear could not be registered, or reported an error
    ├── NoDataError (LookupError)              the requested data is not in Redis, or not yet
    ├── WaitTimeoutError (TimeoutError)        an awaited event did not happen in time
    └── PipelineError (RuntimeError)           a notebook of a pipeline run failed

Messages say what was requested, what was found, and what to do next.
"""

from __future__ import annotations


class RedEdgeError(Exception):
    """Base class of all exceptions of this package."""


class ConfigurationError(RedEdgeError, ValueError):
    """A setting, argument or file is wrong."""


class ModelCardError(ConfigurationError):
    """A model's YAML card is missing, incomplete or contradicts its model file."""


class ModelImportError(ConfigurationError):
    """A model file is damaged, has a layout that is not known, or finds what is not plausible."""


class SceneError(ConfigurationError):
    """A scene, or a part of it, is wrong.

    Attributes:
        field: Where, for example `zones[1].points[2]`; empty where the scene as a whole is meant.
        problem: What is wrong there, and what is allowed.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


class SceneConflictError(SceneError):
    """Somebody else has saved the scene since it was read."""


class TrackerStateError(ConfigurationError):
    """A saved state of a tracker is damaged, or has a format that this version does not know."""


class ServerError(RedEdgeError, RuntimeError):
    """The embedded server could not be started or stopped."""


class UnsupportedPlatformError(ServerError):
    """There is no redis-server for this platform among the installed packages."""


class ServerUnavailableError(RedEdgeError, ConnectionError):
    """The server does not answer, or refuses the password."""


class ServerFullError(RedEdgeError, MemoryError):
    """The server has reached its `maxmemory` and refuses writes until data is deleted."""


class MissingModuleError(RedEdgeError, RuntimeError):
    """The server does not have RedisTimeSeries or the edge module."""


class SourceError(RedEdgeError, OSError):
    """A frame source cannot be opened or read."""


class CameraInUseError(RedEdgeError, RuntimeError):
    """Another capture feeds the camera."""


class ModelError(RedEdgeError, RuntimeError):
    """A model could not be stored or run."""


class GearError(RedEdgeError, RuntimeError):
    """A gear could not be registered, or reported an error."""


class NoDataError(RedEdgeError, LookupError):
    """The requested data is not in Redis, or not yet."""


class WaitTimeoutError(RedEdgeError, TimeoutError):
    """An awaited event did not happen in time."""


class PipelineError(RedEdgeError, RuntimeError):
    """A notebook of a pipeline run failed."""
