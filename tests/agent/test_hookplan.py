"""What a dry run tells of the hooks: which would be run, how, and what is in the way."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer
from tests.agent.harness import RunningAgent
from tests.agent.hookfolder import HookFolder
from tests.agent.test_hooks import HANG, desc
from tests.support.need import need_root


@pytest.fixture
def hooks(start: Starter, tmp_path: Path) -> HookFolder:
    (tmp_path / "disks").mkdir()
    return HookFolder(start, FileFreezer(tmp_path / "disks"))


def planned(agent: RunningAgent) -> Any:
    return agent.call("qga-fsfreeze-freeze", **{"dry-run": True})["planned-hooks"]


def test_how_each_would_be_run(hooks: HookFolder) -> None:
    for name in ("a", "b", "c", "d.bak"):
        hooks.write(name)
    (hooks.folder / "c.conf").write_text("options=", encoding="ascii")
    alone = hooks.write("alone", folder=hooks.folder.parent)
    settings = "[hook:c]\norder=-1\n[hook:b]\nrequired=true\ntimeout=2.5\n"
    agent = hooks.start(settings, timeout=7, hook=str(alone))
    assert planned(agent) == [
        {"name": "alone", "ok": True, "required": True, "timeout-ms": 7000},
        {"name": "c", "ok": True, "required": False, "timeout-ms": 120000, "order": -1},
        {"name": "a", "ok": True, "required": False, "timeout-ms": 120000, "order": 0},
        {"name": "b", "ok": True, "required": True, "timeout-ms": 2500, "order": 0},
    ]
    assert hooks.events() == []
    # That is the order.
    agent.call("qga-fsfreeze-freeze")
    assert hooks.events() == ["alone freeze", "c freeze", "a freeze", "b freeze"]
    assert agent.call("guest-fsfreeze-thaw") == 2


def test_without_any(hooks: HookFolder) -> None:
    agent = hooks.start()
    assert planned(agent) == []
    hooks.folder.rmdir()
    assert planned(agent) == []
    hooks.folder.touch()
    refusal = desc(agent.connect().ask("qga-fsfreeze-freeze", **{"dry-run": True}))
    assert refusal.startswith("failed to read the fsfreeze hooks in ")


def test_what_is_in_the_way(hooks: HookFolder) -> None:
    for name in ("fine", "mode", "interpreter", "none", "text", "nobody", "empty"):
        hooks.write(name)
    folder = hooks.folder
    (folder / "mode").chmod(0o644)
    (folder / "interpreter").write_text("#!/no/such/program -x\n", encoding="ascii")
    (folder / "none").write_text("#!\n", encoding="ascii")
    (folder / "text").write_text("echo hello\n", encoding="ascii")
    (folder / "empty").write_bytes(b"")
    (folder / "binary").symlink_to("/bin/true")
    (folder / "folder").mkdir()
    names = ("mode", "missing", "folder", "text")
    agent = hooks.start("".join(f"[hook:{name}]\nrequired=true\n" for name in names))
    found = {each["name"]: each for each in planned(agent)}
    assert {name: each.get("reason") for name, each in found.items() if not each["ok"]} == {
        "mode": "it is not executable",
        "missing": "No such file or directory",
        "folder": "it is no file",
        "interpreter": "the program that runs it, /no/such/program, is not there",
        "none": "it does not begin with #! and a program",
        "text": "it does not begin with #! and a program",
        "empty": "it does not begin with #! and a program",
    }
    assert {name for name, each in found.items() if each["ok"]} == {"fine", "nobody", "binary"}
    assert {name for name, each in found.items() if each["required"]} == {*names}
    assert hooks.events() == []


def test_who_may_change_them(hooks: HookFolder) -> None:
    need_root("it gives files away")
    for name in ("fine", "owner", "group", "all"):
        hooks.write(name)
    os.chown(hooks.folder / "owner", 1000, 0)
    os.chown(hooks.folder / "group", 0, 7)
    (hooks.folder / "group").chmod(0o775)
    (hooks.folder / "all").chmod(0o777)
    found = planned(hooks.start())
    assert {each["name"]: each.get("reason") for each in found} == {
        "fine": None,
        "owner": "its owner, user 1000, may have the agent run anything by it",
        "group": "its group, 7, may have the agent run anything by it",
        "all": "everybody may have the agent run anything by it",
    }
    assert all(each["ok"] for each in found)


def test_while_they_are_run(hooks: HookFolder) -> None:
    """No freeze could begin."""
    hooks.write("a", f'[ "$1" = thaw ] || {{ {HANG}; }}')
    agent = hooks.start()
    client = agent.connect()
    client.send(b'{"execute": "qga-fsfreeze-freeze"}\n')
    hooks.pid("a")
    refusal = desc(agent.connect().ask("qga-fsfreeze-freeze", **{"dry-run": True}))
    assert "under way" in refusal
    assert agent.call("guest-fsfreeze-thaw") == 0
    assert "to be thawed" in desc(client.reply())
