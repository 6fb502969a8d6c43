"""`qga cp` from many guests: each gets a directory of its name."""

from pathlib import Path

import pytest

from tests.support.stock import RunningAgent

from .command import Run


@pytest.fixture
def guest(exec_agent: RunningAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is in the guests web1 and web2; a third one does not run. The names are in `here`."""
    guest = exec_agent.directory / "guest"
    (guest / "tree/below").mkdir(parents=True)
    (guest / "tree/below/file").write_bytes(b"deep\n")
    (guest / "log").write_bytes(b"content\n")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    names = tmp_path / "names.toml"
    names.write_text(
        f'[targets]\nweb1 = "{exec_agent.target}"\nweb2 = "{exec_agent.target}"\n'
        f'"web3" = "unix:{here}/none"\n'
    )
    monkeypatch.setenv("QGA_TARGETS", str(names))
    monkeypatch.setenv("QGA_FIND", "files")
    return guest


def inside(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def test_each_guest_has_a_directory(qga_command: Run, guest: Path) -> None:
    # One after the other, for QEMU's agent serves one client at a time.
    words = ["cp", "-l", "web[12]", "--forks", "1"]
    done = qga_command(*words, "--dry-run", f":{guest}/log", "logs")
    assert done.text.splitlines() == [
        f"{name}: {name}:{guest}/log -> logs/{name}/log: new" for name in ("web1", "web2")
    ]
    assert not Path("logs").exists()
    done = qga_command(*words, f":{guest}/log", "logs")
    assert (done.code, done.err) == (0, "qga: 2 guests: 2 done\n")
    assert inside("logs") == ["web1", "web1/log", "web2", "web2/log"]
    assert Path("logs/web2/log").read_bytes() == b"content\n"
    # Again, with directories, to the same place.
    for _ in range(2):
        done = qga_command(*words, "-r", f":{guest}/log", f":{guest}/tree", "logs")
        assert done.code == 0
    tree = ["log", "tree", "tree/below", "tree/below/file"]
    assert inside("logs/web1") == inside("logs/web2") == tree


def test_who_has_nothing_leaves_nothing(qga_command: Run, guest: Path) -> None:
    done = qga_command("cp", "--all", "--forks", "1", f":{guest}/log", "logs", lines=2)
    assert done.code == 1
    assert "3 guests: 2 done, 1 failed (web3)" in done.err
    assert inside("logs") == ["web1", "web1/log", "web2", "web2/log"]
    Path("logs/web3").mkdir()  # that was there before
    assert qga_command("cp", "-l", "web3", f":{guest}/log", "logs", lines=2).code == 1
    assert Path("logs/web3").is_dir()


@pytest.mark.parametrize(
    "words",
    [
        [":/a", ":/b"],
        ["a", "b"],
        [":/a", "b", "c"],
        [":/a", "-"],
        [":", "logs"],
    ],
)
def test_what_cannot_be_meant(qga_command: Run, guest: Path, words: list[str]) -> None:
    assert guest.exists()
    done = qga_command("cp", "--all", *words)
    assert (done.code, "DST is :PATH, or each SRC" in done.err) == (2, True)


def test_two_files_of_one_name(qga_command: Run, guest: Path) -> None:
    Path("here").mkdir()
    done = qga_command("cp", f"web1:{guest}/log", f"web2:{guest}/tree/log", "here")
    assert done.code == 4
    assert "have the same name: both cannot be in 'here'" in done.err
    assert inside("here") == []
    done = qga_command("cp", "-l", "web1", f":{guest}/log", f":{guest}/tree/log", "here", lines=2)
    assert "have the same name" in done.err
    assert inside("here") == []
