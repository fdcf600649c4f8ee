"""What a script describes: the steps of a gear, a run of it, and a registration of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step of a chain: its kind, a key of chain.steps.STEPS; its callback if it has one; its other arguments."""

    kind: str
    callback: Any = None
    argument: Any = None


@dataclass(frozen=True)
class Run:
    """What `run()` asked for."""

    reader: str
    argument: Any
    keywords: dict[str, Any]
    steps: tuple[Step, ...]
    future: Future[Any]
    """Gets `[[results], [errors]]`."""


@dataclass(frozen=True)
class Draft:
    """A registration as the script made it, callbacks included."""

    id: str
    reader: str
    description: str | None
    mode: str
    arguments: dict[str, Any]
    steps: tuple[Step, ...]
    on_registered: Callable[[], Any] | None
    on_unregistered: Callable[[], Any] | None
