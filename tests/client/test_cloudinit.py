"""Waiting for cloud-init, at all of its stages."""

import json

import pytest

import qga
from qga.testing import FakeAgent

RESULT, STATUS, DISABLED = (
    f"/run/cloud-init/{name}" for name in ("result.json", "status.json", "disabled")
)


def test_from_the_beginning_to_the_end(fake_agent: FakeAgent) -> None:
    fake_agent.files.mkdir("/run/cloud-init")
    seen: list[str] = []

    def status(stage: str | None) -> bytes:
        return json.dumps({"v1": {"stage": stage}}).encode()

    steps = [
        lambda: fake_agent.files.update({STATUS: b""}),
        lambda: fake_agent.files.update({STATUS: status("init-local")}),
        lambda: fake_agent.files.update({STATUS: status(None)}),
        lambda: fake_agent.files.update({RESULT: b'{"v1": '}),
        lambda: fake_agent.files.update({RESULT: result(errors=["('x', 1)"])}),
    ]

    def result(**members: object) -> bytes:
        return json.dumps({"v1": {"datasource": "DataSourceNone", **members}}).encode()

    def see(said: str) -> None:
        seen.append(said)
        steps.pop(0)()

    client = fake_agent.connect()
    found = client.wait_cloud_init(60, seen=see)
    assert (found.status, found.errors, found.datasource) == (
        "done", ("('x', 1)",), "DataSourceNone",
    )  # fmt: skip
    assert not found.ok
    assert seen == [
        "it has not begun: there is no /run/cloud-init/status.json in the guest",
        "it does not say how it went: is it just writing that?",
        "it is at init-local",
        "it is between two stages",
        "it does not say how it went: is it just writing that?",
    ]
    fake_agent.files[RESULT] = result(errors=[])
    assert client.wait_cloud_init().ok


def test_disabled_and_missing(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with pytest.raises(qga.WaitTimeout, match="cloud-init is not done after 1 s: it has not begun"):
        client.wait_cloud_init(1)
    fake_agent.files.mkdir("/run/cloud-init")
    fake_agent.files[DISABLED] = b""
    found = client.wait_cloud_init(1)
    assert (found.status, found.ok) == ("disabled", False)
    fake_agent.blocked |= {"guest-file-open", "guest-exec"}
    with pytest.raises(qga.WaitTimeout, match="has been disabled"):
        client.wait_cloud_init(1)
