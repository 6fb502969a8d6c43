"""Hooks of a directory: their order and results, what they may prevent, and what they may not."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer
from tests.agent.harness import until
from tests.agent.hookfolder import HookFolder, runs
from tests.agent.programs import children
from tests.agent.test_hook import ended

FAILED = "child process has failed to execute fsfreeze hook"
ON_FREEZE = '[ "$1" = thaw ] || '


@pytest.fixture
def hooks(start: Starter, tmp_path: Path) -> HookFolder:
    (tmp_path / "disks").mkdir()
    return HookFolder(start, FileFreezer(tmp_path / "disks"))


@pytest.fixture
def three(hooks: HookFolder) -> Iterator[HookFolder]:
    for name in ("a", "b", "c"):
        hooks.write(name)
    yield hooks
    assert not hooks.freezer.frozen()


def desc(reply: Any) -> str:
    return str(reply["error"]["desc"])


def test_each_is_run_and_told_of(three: HookFolder) -> None:
    three.write("b", "echo hello; echo there >&2")
    agent = three.start("[hook:c]\norder=-1\n[hook:a]\nrequired=true\n")
    made = agent.call("qga-fsfreeze-freeze", token="t")
    assert made["count"] == 2
    assert made["token"] == "t"
    assert runs(made) == [("c", "freeze", True), ("a", "freeze", True), ("b", "freeze", True)]
    first, second, third = made["hooks"]
    assert [run["required"] for run in made["hooks"]] == [False, True, False]
    assert first["exit-code"] == third["exit-code"] == 0
    assert "output" not in second
    assert third["output"] == "hello\nthere\n"
    assert agent.call("qga-fsfreeze-report")["hooks"] == made["hooks"]
    thawed = agent.call("qga-fsfreeze-thaw", token="t")
    assert thawed["held"] is True
    assert thawed["hooks"][:3] == made["hooks"]
    assert runs(thawed)[3:] == [("b", "thaw", True), ("a", "thaw", True), ("c", "thaw", True)]
    assert three.events() == ["c freeze", "a freeze", "b freeze", "b thaw", "a thaw", "c thaw"]
    assert agent.call("qga-fsfreeze-report") == thawed
    # It is nobody's business again.
    assert agent.call("guest-fsfreeze-thaw") == 0
    assert len(three.events()) == 6
    assert not list(agent.statedir.glob("*.hooked*"))
    assert agent.end() == 0
    assert agent.errors() == ""
    assert three.start().call("qga-fsfreeze-report") == thawed


def test_what_is_no_hook_is_not_run(hooks: HookFolder) -> None:
    for name in ("x~", "x.bak", "x.orig", "x.rpmnew", "x.rpmorig", "x.rpmsave", "x.sample",
                 "x.dpkg-old", ".hidden"):  # fmt: skip
        hooks.write(name)
    hooks.write("text").chmod(0o644)
    (hooks.folder / "folder").mkdir()
    (hooks.folder / "dangling").symlink_to("nowhere")
    (hooks.folder / "link").symlink_to(hooks.write("a b.sh", folder=hooks.folder.parent))
    agent = hooks.start()
    assert runs(agent.call("qga-fsfreeze-freeze")) == [("link", "freeze", True)]
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert hooks.events() == ["link freeze", "link thaw"]


def test_without_any_there_is_nothing_to_tell(hooks: HookFolder) -> None:
    agent = hooks.start()
    assert "hooks" not in agent.call("qga-fsfreeze-freeze")
    assert agent.call("guest-fsfreeze-thaw") == 2
    hooks.folder.rmdir()
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2
    hooks.folder.touch()
    assert desc(agent.connect().ask("guest-fsfreeze-freeze")) == (
        f"failed to read the fsfreeze hooks in {hooks.folder}: Not a directory"
    )
    assert agent.call("guest-fsfreeze-status") == "thawed"


def test_one_that_fails_is_reported(three: HookFolder) -> None:
    """It may have done half: it is told of the thaw, too."""
    three.write("b", "echo no; exit 3")
    three.write("c", "kill -9 $$")
    agent = three.start()
    made = agent.call("qga-fsfreeze-freeze")
    assert made["count"] == 2
    _, failed, killed = made["hooks"]
    assert (failed["ok"], failed["exit-code"]) == (False, 3)
    assert (failed["reason"], failed["output"]) == ("exit status 3", "no\n")
    assert (killed["ok"], killed["signal"]) == (False, 9)
    assert killed["reason"] == "ended by signal 9"
    assert "timed-out" not in killed
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert three.events()[3:] == ["c thaw", "b thaw", "a thaw"]
    assert agent.end() == 0
    errors = agent.errors()
    assert f"{FAILED} b: exit status 3: no" in errors
    assert f"{FAILED} c: ended by signal 9" in errors


def test_one_that_is_required_refuses(three: HookFolder) -> None:
    three.write("b", f"{ON_FREEZE} {{ echo no; exit 3; }}")
    agent = three.start("[hook:b]\nrequired=1\n")
    for name in ("guest-fsfreeze-freeze", "qga-fsfreeze-freeze"):
        assert desc(agent.connect().ask(name)) == f"{FAILED} b: exit status 3: no\n"
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert three.events() == ["a freeze", "b freeze", "b thaw", "a thaw"] * 2
    report = agent.call("qga-fsfreeze-report")
    assert (report["state"], report["count"], report["held"]) == ("thawed", 0, False)
    assert (report["end"], report["reason"]) == ("hook", f"{FAILED} b: exit status 3: no\n")
    assert runs(report) == [
        ("a", "freeze", True), ("b", "freeze", False), ("b", "thaw", True), ("a", "thaw", True)
    ]  # fmt: skip
    three.write("b")
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2


def test_one_that_is_required_has_to_be_there(three: HookFolder) -> None:
    agent = three.start("[hook:d]\nrequired=true\n[hook:e]\norder=1\n")
    reason = f"the fsfreeze hook d is required, and is no program in {three.folder}"
    assert desc(agent.connect().ask("guest-fsfreeze-freeze")) == reason
    assert three.events() == []
    three.write("d", f"{ON_FREEZE} {{ rm {three.folder}/a; }}")
    assert agent.call("guest-fsfreeze-freeze") == 2
    # Not even one that is gone when the guest is thawed keeps the others from it.
    thawed = agent.call("qga-fsfreeze-thaw")
    assert thawed["hooks"][-1]["reason"] == (
        f"failed to exec '{three.folder}/a': No such file or directory"
    )
    assert three.events()[4:] == ["d thaw", "c thaw", "b thaw"]


def test_one_that_cannot_be_run_is_not_told_of_a_thaw(three: HookFolder) -> None:
    (three.folder / "b").write_text("#!/no/such/program\n", encoding="ascii")
    agent = three.start()
    made = agent.call("qga-fsfreeze-freeze")
    assert runs(made) == [("a", "freeze", True), ("b", "freeze", False), ("c", "freeze", True)]
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert three.events() == ["a freeze", "c freeze", "c thaw", "a thaw"]


HANG = "sleep 600 & echo $! > $0.pid; wait"


@pytest.mark.parametrize("required", [False, True])
def test_one_that_hangs_before_the_freeze(three: HookFolder, required: bool) -> None:
    three.write("b", f"{ON_FREEZE} {{ {HANG}; }}")
    agent = three.start(f"[hook:b]\ntimeout=2\nrequired={str(required).lower()}\n")
    if required:
        error = desc(agent.connect().ask("qga-fsfreeze-freeze"))
        assert error == f"{FAILED} b: it has not finished after 2 s"
        assert agent.call("guest-fsfreeze-status") == "thawed"
    else:
        agent.call("qga-fsfreeze-freeze")
        assert agent.call("guest-fsfreeze-thaw") == 2
    hung = agent.call("qga-fsfreeze-report")["hooks"][1]
    assert (hung["timed-out"], hung["ok"], hung["signal"]) == (True, False, 9)
    assert three.events()[-2:] == ["b thaw", "a thaw"]
    pid = three.pid("b")
    until(lambda: ended(pid), "what it has started to end")


def test_all_together_have_the_time_of_a_freeze(three: HookFolder) -> None:
    three.write("b", f"{ON_FREEZE} {{ {HANG}; }}")
    agent = three.start(timeout=3)
    error = desc(agent.connect().ask("qga-fsfreeze-freeze"))
    assert error == f"{FAILED} b: all together have not finished after 3 s"
    assert three.events() == ["a freeze", "b freeze", "b thaw", "a thaw"]


@pytest.mark.parametrize("required", [False, True])
def test_one_that_hangs_after_the_thaw(three: HookFolder, required: bool) -> None:
    three.write("b", '[ "$1" = freeze ] || sleep 600')
    three.write("c", '[ "$1" = freeze ] || exit 1')
    agent = three.start(f"[hook:b]\ntimeout=2\nrequired={str(required).lower()}\n")
    assert agent.call("guest-fsfreeze-freeze") == 2
    client = agent.connect()
    client.send(b'{"execute": "qga-fsfreeze-thaw"}\n')
    until(lambda: len(three.events()) == 5, "it to hang")
    assert agent.call("guest-fsfreeze-status") == "thawed"
    reply = client.reply()
    if required:
        assert desc(reply) == f"{FAILED} b: it has not finished after 2 s"
    else:
        assert reply["return"]["held"] is True
    # Whatever one does, the others are told; and none is frozen then.
    assert three.events()[3:] == ["c thaw", "b thaw", "a thaw"]
    report = agent.call("qga-fsfreeze-report")
    assert report["held"] is True
    assert runs(report)[3:] == [("c", "thaw", False), ("b", "thaw", False), ("a", "thaw", True)]
    three.write("b")
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2


def test_a_thaw_stops_them(three: HookFolder) -> None:
    three.write("b", f"{ON_FREEZE} {{ {HANG}; }}")
    agent = three.start()
    client = agent.connect()
    client.send(b'{"execute": "qga-fsfreeze-freeze", "arguments": {"token": "mine"}}\n')
    three.pid("b")  # it hangs
    for name in ("guest-fsfreeze-freeze", "qga-fsfreeze-freeze"):
        assert "under way" in desc(agent.connect().ask(name))
    refusal = desc(agent.connect().ask("qga-fsfreeze-thaw", token="other"))
    assert refusal.startswith("the freeze that is under way has another token than 'other'")
    thawed = agent.call("qga-fsfreeze-thaw", token="mine")
    assert (thawed["token"], thawed["end"], thawed["count"]) == ("mine", "hook", 0)
    assert runs(thawed)[1:3] == [("b", "freeze", False), ("b", "thaw", True)]
    assert desc(client.reply()) == f"{FAILED} b: the guest is to be thawed"
    assert three.events() == ["a freeze", "b freeze", "b thaw", "a thaw"]


def test_they_are_told_when_the_freeze_fails_after_them(three: HookFolder) -> None:
    agent = three.start()
    (three.freezer.folder / "b").unlink()
    assert "failed to open" in desc(agent.connect().ask("guest-fsfreeze-freeze"))
    (three.freezer.folder / "b").touch()
    assert [event.partition("\0")[0] for event in three.events()] == [
        "a freeze", "b freeze", "c freeze", "c thaw", "b thaw", "a thaw"
    ]  # fmt: skip
    report = agent.call("qga-fsfreeze-report")
    assert (report["end"], len(report["hooks"])) == ("failed", 6)


def test_what_they_print_is_kept_in_part(hooks: HookFolder) -> None:
    hooks.write("a", r"printf 'e\033[31m\377\0\n'")
    hooks.write("b", "head -c 100000 /dev/zero | tr '\\0' x")
    hooks.write("c", f"{ON_FREEZE} exec yes")
    for number in range(20):
        hooks.write(f"d{number:02}", "head -c 4096 /dev/zero | tr '\\0' '\\001'")
    agent = hooks.start("[hook:c]\ntimeout=2\n")
    made = agent.call("qga-fsfreeze-freeze")
    odd, much, endless, *rest = made["hooks"]
    assert odd["output"] == "e\x1b[31m\ufffd\0\n"
    assert "omitted" not in odd
    assert much["output"] == "x" * 4096
    assert much["omitted"] == 100_000 - 4096
    assert endless["output"] == "y\n" * 2048
    assert endless["omitted"] > 100_000
    assert endless["timed-out"] is True
    # All together, too: it is passed from process to process.
    kept = sum(len(run.get("output", "")) for run in made["hooks"])
    assert kept == 1 << 14
    assert "output" not in rest[-1]
    assert rest[-1]["omitted"] == 4096
    agent.end(9)
    second = hooks.start()
    found = second.call("qga-fsfreeze-report")
    assert found["hooks"] == made["hooks"]
    assert second.call("guest-fsfreeze-thaw") == 2


def test_what_they_leave_running_may_print(hooks: HookFolder) -> None:
    hooks.write("a", f"{ON_FREEZE} {{ (while echo x; do sleep 0.05; done) & echo $! > $0.pid; }}")
    agent = hooks.start()
    assert agent.call("guest-fsfreeze-freeze") == 2
    count, pid = agent.descriptors(), hooks.pid("a")
    assert agent.call("guest-fsfreeze-thaw") == 2
    time.sleep(0.3)
    assert not ended(pid)
    # Not for ever: each freeze would leave one more.
    for _ in range(3):
        assert agent.call("guest-fsfreeze-freeze") == 2
        until(lambda: agent.descriptors() <= count, "descriptors to be closed")
        assert agent.call("guest-fsfreeze-thaw") == 2
    until(lambda: ended(pid), "the first to be heard no more")


def test_beside_the_program(three: HookFolder) -> None:
    """It comes first, and last of all after the thaw."""
    program = three.write("program", folder=three.folder.parent)
    agent = three.start(hook=str(program))
    made = agent.call("qga-fsfreeze-freeze")
    assert [run["name"] for run in made["hooks"]] == ["program", "a", "b", "c"]
    assert agent.call("guest-fsfreeze-thaw") == 2
    expected = ["program freeze", "a freeze", "b freeze", "c freeze",
                "c thaw", "b thaw", "a thaw", "program thaw"]  # fmt: skip
    assert three.events() == expected
    # By upstream's contract it is told of each thaw, and does not prevent what it has refused.
    assert agent.call("guest-fsfreeze-thaw") == 0
    assert three.events() == [*expected, "program thaw"]
    three.write("program", "exit 1", folder=three.folder.parent)
    assert desc(agent.connect().ask("guest-fsfreeze-freeze")) == f"{FAILED}: exit status 1"
    assert three.events() == [*expected, "program thaw", "program freeze"]


def test_the_program_that_would_run_them_again_is_not_run(hooks: HookFolder) -> None:
    folder = hooks.folder.with_name("fsfreeze-hook.d")
    hooks.folder.rename(folder)
    hooks.folder.symlink_to(folder)
    hooks.write("a")
    program = hooks.write("fsfreeze-hook", f"{folder}/a $1", folder=folder.parent)
    agent = hooks.start(hook=str(program))
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert hooks.events() == ["a freeze", "a thaw"]
    assert agent.end() == 0
    assert f"fsfreeze-hook {program} is not run: it would run the programs" in agent.errors()


def test_without_a_note_for_the_next_agent_none_is_run(three: HookFolder) -> None:
    agent = three.start()
    (agent.statedir / "qga.state.hooked").mkdir()
    error = desc(agent.connect().ask("guest-fsfreeze-freeze"))
    assert error == "failed to prepare for freezing: Is a directory"
    assert three.events() == []
    (agent.statedir / "qga.state.hooked").rmdir()
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert children(agent.process.pid)  # the guardian
    assert agent.call("guest-fsfreeze-thaw") == 2
