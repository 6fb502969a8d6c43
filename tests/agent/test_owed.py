"""The file that tells the next agent, or the guardian, which hooks have to be told of a thaw."""

import os
from pathlib import Path

import pytest

from qga.agent.owed import Busy, Owed

NAMES = ["/hooks/a", "/hooks/b\nc \\ d", os.fsdecode(b"/hooks/\xff"), "/hooks/process 1 2"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "owed"


def begun(path: Path, *names: str) -> Owed:
    owed = Owed(str(path))
    owed.begin("token of mine", 7)
    for name in names:
        assert owed.add(name)
        owed.runs(os.getpid())
    return owed


def left(path: Path) -> Owed:
    """What another agent finds, after the one before has been killed."""
    found = Owed(str(path))
    assert found.take()
    return found


def test_it_is_read_back(path: Path) -> None:
    owed = begun(path, *NAMES)
    assert not owed.add(NAMES[0])
    assert list(owed) == NAMES
    found = left(path)
    assert (list(found), found.token, found.began) == (NAMES, "token of mine", 7)
    for count in (3, 2, 1, 0):
        found.drop()
        assert list(found) == NAMES[:count]
        assert list(left(path)) == NAMES[:count]
    found.end()
    assert not path.exists()
    assert not Owed(str(path)).take()


def test_half_a_line_is_none(path: Path) -> None:
    begun(path, "/a").let_go()
    with path.open("ab") as file:
        file.write(b"hook /b")
    assert list(left(path)) == ["/a"]


def test_who_was_owed_before_stays_so(path: Path) -> None:
    begun(path, "/a", "/b").let_go()
    owed = Owed(str(path))
    owed.begin("other", 8)
    owed.add("/c")
    found = left(path)
    assert (list(found), found.token, found.began) == (["/a", "/b", "/c"], "other", 8)


def test_one_process_at_a_time(path: Path) -> None:
    owed = begun(path, "/a")
    pid = os.fork()
    if pid == 0:
        try:
            for attempt in (owed.take, lambda: Owed(str(path)).begin("x", 1)):
                owed.lose()
                try:
                    attempt()
                except Busy:
                    continue
                os._exit(1)
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(left(path)) == ["/a"]


def test_only_the_process_that_it_means_is_ended(path: Path) -> None:
    """Not another one that has got its number."""
    ends = [os.posix_spawn("/bin/sleep", ["sleep", "600"], {}, setsid=True) for _ in range(2)]
    owed = begun(path, "/a")
    for pid in ends:
        owed.runs(pid)
    owed.let_go()
    text = path.read_bytes()
    *_, last = text.splitlines()
    path.write_bytes(text.replace(last, last + b"1"))
    left(path).end_run()
    path.write_bytes(text)
    left(path).end_run()
    assert os.waitstatus_to_exitcode(os.waitpid(ends[1], 0)[1]) == -9
    assert os.waitpid(ends[0], os.WNOHANG) == (0, 0)
    os.kill(ends[0], 9)
    os.waitpid(ends[0], 0)


def test_without_a_disk_it_is_in_memory(path: Path) -> None:
    owed = begun(path, "/a", "/b")
    owed.let_go()
    owed.drop()
    assert list(owed) == ["/a"]
    owed.end()
    assert not list(owed)
    assert path.exists()  # for whoever can read it
