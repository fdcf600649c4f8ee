"""Stored code: functions of gears as bytes that later versions of this package can still load.

cloudpickle stores a user's function by value: its bytecode, and the globals that it uses. If a function or class can be
imported, it stores only the name of its module. Up to commit a592920 it did that for the names that RedisGears gives a
script, too (`execute`, `GB`, `atomic` ...). When our modules moved, no stored gear could be loaded any more. Therefore:

- Our own objects are stored by the names that scripts have for them, which RedisGears has chosen (`STORED_NAMES`,
  filled by `script/modules.py`). It does not matter in which module their code is.
- If a script uses anything else of this package, it is refused when it is registered: then its author can still change
  it. `rededge_nb.analytics` is the exception. Gears may import it, so its modules must not move.
- `FORMAT` is the number of this format. Format 0, that of commit a592920 and before, is still read. The modules that it
  names are ignored, because the names alone are unique (`FORMER_NAMES` has those that have changed).

Bytecode belongs to one minor version of Python, and another version may crash on it. So `python_version()` is stored
together with these bytes, and `check_loadable()` must be called before they are loaded.
"""

from __future__ import annotations

import io
import pickle
import platform
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import cloudpickle

from rededge_nb.edge.gears.runtime.errors import GearsError

FORMAT = 1
"""Number of the format that this version writes. It reads every number up to this one."""
STORED_NAMES: dict[str, object] = {}
"""Our own objects by the name that stored code has for them. Never remove or reuse a name: somebody's gear has it."""
FORMER_NAMES = {
    "Script": "PyExecutionSession",
    "config_get": "configGet",
    "create_future": "createFuture",
    "gears_config_get": "gearsConfigGet",
    "get_gears_session": "getGearsSession",
    "is_async_allow": "isAsyncAllow",
    "is_in_atomic_block": "isInAtomicBlock",
    "register_gears_thread": "registerGearsThread",
    "register_timer": "registerTE",
    "run_coroutine": "runCoroutine",
    "set_future_exception": "setFutureException",
    "set_future_results": "setFutureResults",
    "set_gears_session": "setGearsSession",
}
"""Names in format 0 whose objects have other names in STORED_NAMES."""
GEARS_ERRORS = {"error": "GearsError", "forcestopped": "GearsForceStopped"}
"""RedisGears' errors say that they are of a module `gears`, so format 0 has copies of them, by these names."""
PACKAGE = "rededge_nb"
IMPORTABLE = f"{PACKAGE}.analytics"
"""What gears may import of this package."""
IMPORTED = (type, FunctionType, ModuleType)
"""What cloudpickle stores as a reference if it can be imported."""

Callback = TypeVar("Callback", bound=Callable[..., Any])

_name_of: dict[int, str] = {}


def name_objects(names: Mapping[str, object]) -> None:
    """Add to STORED_NAMES. An object with several names is stored under the first."""
    for name, value in names.items():
        STORED_NAMES.setdefault(name, value)
        _name_of.setdefault(id(value), name)


def python_version() -> str:
    """This Python, as far as stored code depends on it: major.minor."""
    return ".".join(platform.python_version_tuple()[:2])


def dumps(value: object) -> bytes:
    """Functions, and what they use, as bytes.

    Raises:
        pickle.PicklingError: a function uses an object of this package that is not part of the gears' API.
        Exception: whatever an object raises that cannot be pickled.
    """
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


def loads(stored: bytes) -> Any:
    """What `dumps` was given, in this version or an earlier one.

    Raises:
        pickle.UnpicklingError: the bytes refer to a name of ours that this version does not have.
        Exception: whatever an object raises that cannot be loaded, such as ImportError.
    """
    return _Unpickler(io.BytesIO(stored)).load()


def check_loadable(number: int, python: str) -> None:
    """Refuse stored code that this process cannot load.

    Args:
        number: The format it was stored in.
        python: What python_version() was then.

    Raises:
        GearsError: the format is newer than FORMAT, or the Python is another one.
    """
    if number > FORMAT:
        raise GearsError(f"a newer version of {PACKAGE} stored it (format {number}, this version reads 0 to {FORMAT})")
    if python != python_version():
        raise GearsError(f"it was stored under Python {python}, and here is Python {python_version()}")


def checked_callback(callback: Callback) -> Callback:
    """The callback, after a test that it can be stored.

    Raises:
        GearsError: it cannot, because it uses a lock, a connection or the like.
    """
    try:
        dumps(callback)
    except Exception as error:
        name = getattr(callback, "__name__", repr(callback))
        raise GearsError(f"Error occured when serialized a python callback, callback={name} error={error}") from error
    return callback


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def persistent_id(self, value: Any) -> str | None:
        """The stored name of an object of ours; None for all others, which cloudpickle stores."""
        name = _name_of.get(id(value))
        if name is None and issubclass(type(value), IMPORTED):  # by its type: a proxy says what it stands for
            module = value.__name__ if issubclass(type(value), ModuleType) else value.__module__
            if _is_internal(module):
                raise pickle.PicklingError(
                    f"{value!r} may move within {PACKAGE}, so a stored gear cannot refer to it: import it inside the "
                    f"function that uses it, or use {IMPORTABLE}"
                )
        return name


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, name: str) -> object:
        """The object that has the stored name."""
        if name not in STORED_NAMES:
            raise pickle.UnpicklingError(f"this version has nothing that is called {name}")
        return STORED_NAMES[name]

    def find_class(self, module: str, name: str) -> Any:
        """An object by its module; of our own modules, which only format 0 names, by its name alone."""
        if (module, name) == ("cloudpickle.cloudpickle", "_make_skeleton_class"):
            return _class_or_own_error
        own = FORMER_NAMES.get(name, name)
        if _is_internal(module) and own in STORED_NAMES:
            return STORED_NAMES[own]
        return super().find_class(module, name)


def _is_internal(module: object) -> bool:
    """Whether a module is one of this package that may move."""
    if not isinstance(module, str) or not f"{module}.".startswith(f"{PACKAGE}."):
        return False
    return not f"{module}.".startswith(f"{IMPORTABLE}.")


def _class_or_own_error(kind: Any, name: str, bases: Any, keywords: dict[str, Any], *tracking: Any) -> Any:
    """A class that was stored by value; in place of a copy of RedisGears' errors the one that execute() raises."""
    if keywords.get("__module__") == "gears" and name in GEARS_ERRORS:
        return STORED_NAMES[GEARS_ERRORS[name]]
    return cloudpickle.cloudpickle._make_skeleton_class(kind, name, bases, keywords, *tracking)
