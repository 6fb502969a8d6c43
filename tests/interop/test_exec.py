"""Programs started by both agents, one like the other: what is said of each at its end.

These agents may start programs, and are sent only what is here: it is harmless.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from qga.agent.pipes import LIMIT
from tests.interop.agents import OURS, SideAgent
from tests.interop.case import FOLDER, Case, call
from tests.support.need import missing
from tests.support.stock import BLOCKED_BUT_EXEC
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent

_PATIENCE = 60

# How 7.2 says that a program cannot be started; newer versions give the reason alone.
_WRAPPING = "Guest agent command failed, error was '"

PROG = f"{FOLDER}/prog"
SH: dict[str, Any] = {"path": "/bin/sh"}
HELLO = base64.b64encode(b"hello\n").decode()
MUCH = base64.b64encode(bytes(range(256)) * 8192).decode()


def script(text: str, **more: Any) -> dict[str, Any]:
    return SH | {"arg": ["-c", text]} | more


KEPT: dict[str, Any] = {"capture_output": True}

PROGRAMS: tuple[dict[str, Any], ...] = (
    # Ends.
    {"path": "/bin/true"},
    {"path": "/bin/false"},
    {"path": "true"},
    {"path": "true", "capture_output": False},
    script("exit 300"),
    script("kill -9 $$"),
    script("kill -15 $$", **KEPT),
    # Output.
    {"path": "/bin/true"} | KEPT,
    {"path": "echo", "arg": ["hello", "", "\u00fc\u20ac\U0001f600", "$HOME", "a\nb"]} | KEPT,
    {"path": "printf", "arg": ["\\377\\000\\001"]} | KEPT,
    script("echo out; echo err >&2", **KEPT),
    script("echo err >&2; exit 3", **KEPT),
    script("echo out; echo err >&2"),
    script("printf x; sleep 0.2; printf y; kill -9 $$", **KEPT),
    script("(sleep 0.3; echo late) & echo early", **KEPT),
    script("head -c 1000000 /dev/zero; head -c 200000 /dev/zero >&2", **KEPT),
    script(f"head -c {LIMIT} /dev/zero; echo >&2", **KEPT),
    script(f"head -c {LIMIT + 1} /dev/zero | tr '\\0' x >&2", **KEPT),
    # Input.
    {"path": "cat"} | KEPT,
    {"path": "cat", "input_data": ""} | KEPT,
    {"path": "cat", "input_data": HELLO} | KEPT,
    {"path": "cat", "input_data": MUCH} | KEPT,
    {"path": "sha256sum", "input_data": MUCH} | KEPT,
    {"path": "true", "input_data": MUCH} | KEPT,
    script("head -c 1", input_data=MUCH, **KEPT),
    script("exec <&-; sleep 0.2; exit 4", input_data=MUCH, **KEPT),
    {"path": "readlink", "arg": ["/proc/self/fd/0"]} | KEPT,
    {"path": "cat", "input_data": "aGVsbG8"} | KEPT,
    {"path": "cat", "input_data": "aGVs\nbG8="} | KEPT,
    {"path": "cat", "input_data": "!"},
    # Environment and place.
    {"path": "env", "env": []} | KEPT,
    {"path": "env", "env": ["A=1", "B=x=y", "A=2", "E="]} | KEPT,
    {"path": "sh", "arg": ["-c", "echo $A"], "env": ["A=1", "A=2"]} | KEPT,
    {"path": "prog", "env": [f"PATH={FOLDER}"]} | KEPT,
    {"path": "prog", "env": [f"PATH=/absent:{FOLDER}/closed:{FOLDER}", "PATH=/bin"]} | KEPT,
    {"path": "prog", "env": [f"PATH={FOLDER}/closed"]} | KEPT,
    {"path": "prog", "env": [f"PATH={FOLDER}/prog:{FOLDER}/folder:{FOLDER}"]} | KEPT,
    {"path": "plain", "arg": ["a", "b"], "env": [f"PATH={FOLDER}"]} | KEPT,
    {"path": f"{FOLDER}/plain", "arg": ["a", "b"]} | KEPT,
    {"path": f"{FOLDER}/empty"} | KEPT,
    {"path": PROG, "env": ["PATH=/absent"]} | KEPT,
    {"path": "ls", "arg": ["/proc/self/fd"]} | KEPT,
    script("grep -E 'Sig(Blk|Cgt)' /proc/self/status", **KEPT),
    script("yes | head -1", **KEPT),
    script("test $(cut -d' ' -f5,6 /proc/$$/stat | tr ' ' x) = "
           "$(cut -d' ' -f5,6 /proc/$PPID/stat | tr ' ' x)"),
    # What cannot be started.
    {"path": "nope"},
    {"path": ""},
    {"path": "prog"},
    {"path": "/no/such"},
    {"path": "/"},
    {"path": FOLDER},
    {"path": f"{FOLDER}/closed/prog"},
    {"path": f"{FOLDER}/broken"},
    {"path": f"{FOLDER}/prog/x"},
    {"path": "/" + "x" * 300},
    {"path": 'no\u201cpe\n"'},
    {"path": "true", "arg": ["x" * 200_000]},
    # What is wrong with the request.
    {},
    {"path": 1},
    {"path": None},
    {"path": "true", "arg": "x"},
    {"path": "true", "arg": ["x", 1]},
    {"path": "true", "env": {}},
    {"path": "true", "env": [None]},
    {"path": "true", "input_data": 1},
    {"path": "true", "pty": True},
)  # fmt: skip

# What our agent answers otherwise, and qemu-ga's answer; see docs/differences.md.
_NO_PROGRAM_CAN_FIND = {"path": "env", "env": ["A", "", "=x", "B=1"]} | KEPT
_MODES = ("none", "stdout", "stderr", "separated", "merged")


class Runner(SideAgent):
    """An agent that starts programs, in the folder of files that is its own."""

    def __init__(self, command: list[str], home: Path) -> None:
        super().__init__(command, home, BLOCKED_BUT_EXEC)
        self._put("prog", "#!/bin/sh\necho prog $0\n")
        self._put("plain", "echo plain $0 $*\n")
        self._put("empty", "")
        self._put("broken", "#!/no/such/interpreter\n")
        self._put("closed/prog", "#!/bin/sh\n", 0o644)
        (self.folder / "folder" / "prog").mkdir(parents=True)

    def _put(self, name: str, text: str, mode: int = 0o755) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="ascii")
        path.chmod(mode)

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        (reply,) = self.replies(call(name, name, **arguments))
        decoded: dict[str, Any] = json.loads(reply)
        return decoded

    def outcome(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The last reply about a program, with the data decoded; or why there is no program."""
        reply = self.ask("guest-exec", **arguments)
        if "error" in reply:
            desc = reply["error"]["desc"]
            if desc.startswith(_WRAPPING):
                reply["error"]["desc"] = desc.removeprefix(_WRAPPING).removesuffix("'")
            return reply
        assert list(reply["return"]) == ["pid"]
        return self.ended(reply["return"]["pid"])

    def ended(self, pid: int) -> dict[str, Any]:
        """Ask until the program *pid* has ended; what is said then, with the data decoded."""
        deadline = time.monotonic() + _PATIENCE
        while (reply := self.ask("guest-exec-status", pid=pid)) == {"return": {"exited": False}}:
            assert time.monotonic() < deadline, f"{pid} did not end"
            time.sleep(0.005)
        # Once, and no more.
        assert "error" in self.ask("guest-exec-status", pid=pid)
        status: dict[str, Any] = reply["return"]
        for name in ("out-data", "err-data"):
            if name in status:
                data = base64.b64decode(status[name], validate=True)
                status[name] = data.replace(os.fsencode(self.folder), FOLDER.encode())
        return status


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runner, Runner]]:
    """qemu-ga, and ours."""
    try:
        program = str(stock_agent())
    except Unavailable as error:
        missing(error.what, error.remedy)
    folder = tmp_path_factory.mktemp("exec")
    with ExitStack() as agents:
        made = []
        for name, command in (("stock", [program]), ("ours", list(OURS))):
            (folder / name).mkdir()
            made.append(agents.enter_context(Runner(command, folder / name)))
        yield made[0], made[1]


@pytest.mark.parametrize("arguments", PROGRAMS, ids=lambda arguments: str(arguments)[:60])
def test_both_say_the_same(both: tuple[Runner, Runner], arguments: dict[str, Any]) -> None:
    stock, ours = both
    assert ours.outcome(arguments) == stock.outcome(arguments)


def test_what_no_program_can_find_is_left_out(both: tuple[Runner, Runner]) -> None:
    stock, ours = (agent.outcome(_NO_PROGRAM_CAN_FIND)["out-data"] for agent in both)
    assert (stock, ours) == (b"A\n\n=x\nB=1\n", b"B=1\n")


@pytest.mark.parametrize(
    "arguments", [{"path": "/bin/true\0"}, {"path": "true", "arg": ["a\0b"]}], ids=["path", "arg"]
)
def test_a_nul_is_an_invalid_argument(
    both: tuple[Runner, Runner], arguments: dict[str, Any]
) -> None:
    stock, ours = (agent.outcome(arguments) for agent in both)
    assert ours["error"]["desc"].endswith("(Invalid argument)")
    assert stock != ours


@pytest.mark.parametrize("mode", _MODES)
def test_modes_are_newer_than_this_qemu_ga(both: tuple[Runner, Runner], mode: str) -> None:
    arguments = {"path": "echo", "capture_output": mode}
    stock, ours = (agent.outcome(arguments) for agent in both)
    assert stock["error"]["desc"].endswith("expected: boolean")
    assert ours["exitcode"] == 0


def test_a_program_is_anybodys(both: tuple[Runner, Runner]) -> None:
    said = []
    for agent in both:
        pid = agent.ask("guest-exec", path="echo", **KEPT)["return"]["pid"]
        (reply,) = agent.replies(Case("another client", (None, b'{"execute": "guest-ping"}')))
        assert json.loads(reply) == {"return": {}}
        said.append(agent.ended(pid))
    assert said[0] == said[1]
