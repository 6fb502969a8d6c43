"""What outlives the agent: the counter of file handles."""

import signal
from pathlib import Path

import pytest

from qga.agent.state import State, StateError
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import RunningAgent, call, own_descriptors, refusal


def open_many(running: RunningAgent, count: int) -> list[int]:
    with running.connect() as peer:
        return [peer.call("guest-file-open", path=str(running.folder)) for _ in range(count)]


def written(folder: Path, text: str) -> Path:
    (folder / "qga.state").write_text(text, encoding="utf-8")
    return folder


def test_handles_begin_at_1000_and_count_up(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    assert [state.next_handle() for _ in range(200)] == list(range(1000, 1200))


def test_the_file_is_upstreams(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    state.commit()
    file = tmp_path / "qga.state"
    assert file.read_text(encoding="utf-8") == "[global]\nfd_counter=1000\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["qga.state"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("[global]\nfd_counter=1234\n", 1234),
        ("# by hand\n\n[global]\nother=1\n fd_counter = 1500 \n", 1500),
        ("", 1000),
        ("[global]\n", 1000),
        ("[global]\nfd_counter=abc\n", 1000),
        ("[global]\nfd_counter=\n", 1000),
        ("[global]\nfd_counter=-2147483648\n", 1000),
        ("[global]\nfd_counter=7\n", 1000),
        ("[global]\nfd_counter=4294967296\n", 4294967296),
        # What no client could send back.
        ("[global]\nfd_counter=9223372036854775807\n", 1000),
        (f"[global]\nfd_counter={'9' * 5000}\n", 1000),
    ],
)
def test_what_an_earlier_agent_has_left_is_read(tmp_path: Path, text: str, first: int) -> None:
    assert State(str(written(tmp_path, text))).next_handle() == first


def test_a_state_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qga.state").write_bytes(b"\xff\xfe")
    with pytest.raises(StateError, match="cannot read"):
        State(str(tmp_path))


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="does not exist"):
        State(str(tmp_path / "absent"))


def test_handles_go_on_where_the_last_agent_stopped(start: Starter) -> None:
    assert open_many(start(), 3) == [1000, 1001, 1002]
    assert start.started[0].end() == 0
    text = (start.started[0].statedir / "qga.state").read_text(encoding="utf-8")
    assert text == "[global]\nfd_counter=1003\n"
    assert open_many(start(), 2) == [1003, 1004]


def test_a_killed_agent_leaves_no_handle_to_be_given_again(start: Starter) -> None:
    seen: list[int] = []
    for count in (1, 70, 3):
        running = start()
        handles = open_many(running, count)
        assert handles == list(range(handles[0], handles[0] + count))
        assert not seen or handles[0] > seen[-1]
        seen += handles
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    assert len(set(seen)) == len(seen)


def test_no_handle_without_a_state_that_is_kept(make: AgentFactory, tmp_path: Path) -> None:
    agent = make()
    (tmp_path / "state").rmdir()
    before = own_descriptors()
    for _ in range(3):
        desc = refusal(agent, "guest-file-open", path="/")
        assert desc == "failed to commit persistent state to disk"
    assert own_descriptors() == before
    assert agent.files == {}
    (tmp_path / "state").mkdir()
    assert call(agent, "guest-file-open", path="/") == 1000


def test_an_agent_ends_well_although_its_state_cannot_be_kept(start: Starter) -> None:
    running = start()
    for path in running.statedir.iterdir():
        path.unlink()
    running.statedir.rmdir()
    assert running.end() == 0
    assert "Traceback" not in running.errors()
    assert not running.path.exists()
