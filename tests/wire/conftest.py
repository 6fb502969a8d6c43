"""What several test modules of this package use."""

import pytest

from qga.wire import splitter


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitter, "DEPTH_LIMIT", 8)
    monkeypatch.setattr(splitter, "TOKEN_LIMIT", 50)
