"""How long the pieces are in which files are copied."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

import qga
from qga.client.flows import moving
from qga.client.flows.steps import CHUNK
from tests.support.stock import RunningAgent


@pytest.mark.parametrize(("quick", "longest"), [(CHUNK, 2 * CHUNK), (CHUNK * 20, CHUNK)])
def test_they_are_longer_where_they_take_little_time(
    agent: RunningAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: int, longest: int
) -> None:
    monkeypatch.setattr(moving, "SLICE", 0)
    monkeypatch.setattr(moving, "QUICK", quick)
    content = os.urandom(10 * CHUNK + 1)
    here, there, back = tmp_path / "here", str(agent.directory / "there"), tmp_path / "back"
    here.write_bytes(content)
    made: list[moving.TransferProgress] = []
    with qga.connect(agent.target) as client:
        client.files.upload(here, there, atomic=False, progress=made.append)
        sent = len(made)
        client.files.download(there, back, progress=made.append)
    assert back.read_bytes() == content
    for one_way in (made[:sent], made[sent:]):
        done = [0, *(progress.done for progress in one_way)]
        assert max(after - before for before, after in pairwise(done)) == longest
