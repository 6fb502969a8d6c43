"""What several test modules of this package use."""

import pytest

from qga.wire import base64, splitter


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitter, "DEPTH_LIMIT", 8)
    monkeypatch.setattr(splitter, "TOKEN_LIMIT", 50)


@pytest.fixture(params=["as installed", "standard library"])
def either_base64(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "standard library":
        monkeypatch.setattr(base64, "encode", base64._stdlib_encode)
        monkeypatch.setattr(base64, "decode_strict", base64._stdlib_decode)
