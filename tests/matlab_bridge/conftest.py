"""What most tests of writing take: where to write, and in which version."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.mat"


@pytest.fixture(params=["v7", "v7.3"])
def version(request: pytest.FixtureRequest) -> str:
    return request.param
