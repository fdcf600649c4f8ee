"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def jupyter(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """Environment in which Jupyter's programs use temporary folders only."""
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    return environment | places | {"IPYTHONDIR": str(tmp_path / "ipython")}
