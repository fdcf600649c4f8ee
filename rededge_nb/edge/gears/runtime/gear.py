"""What a script describes: the steps of a gear, a run of it, and a registration of it. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step of a chain. Format 0 of stored code has instances of this class: keep its fields."""

    kind: str
    """A key of chain.steps.STEPS."""
    callback: Any = None
    argument: Any = None
    """What limit() was given."""


@dataclass(frozen=True)
class Run:
    """What `run()` was given."""

    reader: str
    argument: Any
    keywords: dict[str, Any]
    steps: tuple[Step, ...]
    future: Future[Any]
    """Gets `[[results], [errors]]`."""


@dataclass(frozen=True)
class Draft:
    """A registration with its callbacks. Format 0 of stored code has instances of this class: keep its fields."""

    id: str
    reader: str
    description: str | None
    mode: str
    arguments: dict[str, Any]
    steps: tuple[Step, ...]
    on_registered: Callable[[], Any] | None
    on_unregistered: Callable[[], Any] | None
