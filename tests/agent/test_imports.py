"""What the agent loads: little at its start, and almost nothing while it serves."""

import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from qga.protocol import COMMANDS
from qga.testing import HARMLESS
from tests.agent.conftest import Starter
from tests.agent.harness import PATIENCE, RunningAgent, request, until
from tests.agent.logdaemon import LogDaemon
from tests.agent.programs import children, end
from tests.support.stock import BLOCKED

SOURCES = Path(__file__).parents[2] / "src"

# Large, slow to load, or threads: what an agent that shall stay small does without.
UNWANTED = {
    "_asyncio", "argparse", "asyncio", "base64", "configparser", "contextlib", "ctypes",
    "dataclasses", "enum", "functools", "inspect", "json", "logging", "msgspec", "pathlib",
    "re", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading",
    "traceback", "typing", "warnings",
}  # fmt: skip

# Prints what is loaded after the modules named as arguments.
LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
for name in sys.argv[2:]:
    __import__(name)
print(*sorted(set(sys.modules) - before))
"""

# Has the agent write, at its end, what was loaded once it was ready, what came later, and what of
# that is written in Python.
REPORT = """
import sys
from qga.agent.app import Agent
serve, close = Agent.serve, Agent.close
def serve_and_remember(self):
    global ready
    ready = set(sys.modules)
    serve(self)
def close_and_tell(self):
    close(self)
    later = set(sys.modules) - ready
    python = [n for n in later if (getattr(sys.modules[n], "__file__", 0) or "").endswith(".py")]
    with open({path!r}, "w") as file:
        for names in (ready, later, python):
            file.write(" ".join(sorted(names)) + "\\n")
Agent.serve, Agent.close = serve_and_remember, close_and_tell
"""

# Has the agent freeze on paper, and write, at the thaw, what was loaded since the freeze.
FREEZER = """
import os, sys
import qga.agent.system.linux as linux
from qga.agent.system.mounts import Mount, Survey
from qga.agent.freeze import Freeze
class Freezer(linux.LinuxFreezer):
    def mounts(self):
        super().mounts()
        device = os.stat({folder!r}).st_dev
        return [Mount({folder!r}, (os.major(device), os.minor(device)), "ext4", "/dev/sda1")]
    def survey(self):
        super().survey()
        return Survey(self.mounts())
    def freeze(self, fd):
        self.frozen = set(sys.modules)
    def thaw(self, fd):
        tell({path!r} + ".guardian", set(sys.modules) - self.frozen)
        done, self.done = getattr(self, "done", False), True
        return not done
linux.LinuxFreezer = Freezer
def tell(path, names):
    with open(path, "w") as file:
        file.write(" ".join(sorted(names)) + "\\n")
take, end = Freeze.take, Freeze._end
def take_and_remember(self, hold):
    global frozen
    Freezer.frozen = frozen = set(sys.modules)
    take(self, hold)
def tell_and_end(self):
    tell({path!r}, set(sys.modules) - frozen)
    end(self)
Freeze.take, Freeze._end = take_and_remember, tell_and_end
"""

ODD = (b"\xff", b"{'execute': 'guest-ping'}", b"[}", b'{"a": 1, "a": 2}', b'["\\ud800"]')


def loaded(*modules: str) -> set[str]:
    command = [sys.executable, "-I", "-S", "-c", LOADED, str(SOURCES), *modules]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    return set(run.stdout.decode().split())


def test_the_agent_loads_little() -> None:
    found = loaded("qga.agent.__main__", "qga.agent.app", "qga.agent.system.linux")
    assert found & UNWANTED == set()
    assert not [name for name in found if name.startswith(("qga.client", "qga.cli"))]


def test_the_rest_of_what_it_loads_is_written_in_c() -> None:
    """Which costs next to nothing. What `os` loads is loaded before any program begins."""
    found = loaded("qga.agent.__main__", "qga.agent.app", "qga.agent.system.linux")
    library = Path(sysconfig.get_path("stdlib"))
    written_in_python = {
        name for name in found if (library / f"{name.replace('.', '/')}.py").is_file()
        or (library / name.replace(".", "/") / "__init__.py").is_file()
    }  # fmt: skip
    of_os = {"_collections_abc", "genericpath", "os", "posixpath", "stat"}
    assert written_in_python - of_os == set()


def test_what_it_loads_for_a_command_is_no_more() -> None:
    folders = ("commands", "system/linux")
    paths = (path for name in folders for path in (SOURCES / "qga/agent" / name).glob("*.py"))
    names = (".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in paths)
    assert loaded(*(name.removesuffix(".__init__") for name in names)) & UNWANTED == set()


def serve_one_of_each(running: RunningAgent) -> None:
    path = running.folder / "file"
    path.write_bytes(bytes(1 << 20))
    with running.connect() as peer:
        handle = peer.call("guest-file-open", path=str(path), mode="r+")
        peer.call("guest-sync", id=1)
        peer.send(request("guest-sync-delimited", {"id": 2}))
        peer.line()
        peer.call("guest-info")
        peer.call("guest-file-read", handle=handle)
        peer.call("guest-file-read", handle=handle, count=1 << 20)
        peer.call("guest-file-seek", handle=handle, offset=0, whence="set")
        peer.call("guest-file-write", handle=handle, buf_b64="QUJD" * 1000)
        peer.call("guest-file-write", handle=handle, buf_b64="QUJD" * 1_000_000)
        peer.call("guest-file-flush", handle=handle)
        peer.call("guest-file-close", handle=handle)
        peer.call("guest-fsfreeze-status")
        for message in ODD:
            peer.send(message + b"\n")
            peer.line()
        peer.ask("guest-absent")
        peer.ask("guest-shutdown", mode=1)
        # What is loaded when it is first asked for. What else is blocked stays so.
        started = peer.ask("guest-exec", path="/bin/true", capture_output=True)
        peer.ask("guest-exec-status", pid=started.get("return", {}).get("pid", 0))
        for name in HARMLESS:
            if "-get-" in name:
                peer.ask(name, **({"username": "root"} if "ssh" in name else {}))


def test_a_serving_agent_imports_nothing_of_size(start: Starter) -> None:
    report = start.folder / "report"
    running = start(
        "-v", "-l", str(start.folder / "log"),
        changes=REPORT.format(path=str(report)),
        blocked=",".join(name for name in BLOCKED if name != "guest-exec"),
    )  # fmt: skip
    serve_one_of_each(running)
    assert running.end() == 0
    ready, later, python = (set(line.split()) for line in report.read_text().splitlines())
    assert "qga.wire.strict" in ready
    # Of the protocol nothing but what every client begins with.
    assert {name for name in ready if name.startswith("qga.protocol.")} == {
        "qga.protocol.codec", "qga.protocol.model", "qga.protocol.session", "qga.protocol.writer",
    }  # fmt: skip
    # The agent's own topics, and for the rest what is written in C.
    own = ("qga.agent.", "qga.protocol.", "pybase64")
    assert {name for name in python if not name.startswith(own)} <= {"__future__"}
    assert later & UNWANTED == set()


def test_an_idle_agent_sleeps(start: Starter) -> None:
    running = start()
    status = Path(f"/proc/{running.process.pid}/status")

    def waits() -> str:
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("voluntary"))
        return line

    with running.connect() as peer:
        peer.call("guest-ping")
        time.sleep(0.5)  # it may be on its way to sleep
        before = waits()
        time.sleep(1.5)
        assert waits() == before


def test_a_frozen_agent_imports_nothing(start: Starter) -> None:
    report = start.folder / "report"
    changes = FREEZER.format(path=str(report), folder=str(start.folder))
    blocked = ",".join(name for name in BLOCKED if "fsfreeze" not in name)
    # With all that may have something to do in the meantime: the hook, a log file that is rotated,
    # a log daemon, systemd that wants signs of life, and a guardian that has to be replaced.
    hook = start.folder / "hook"
    hook.write_text("#!/bin/sh\n", encoding="ascii")
    hook.chmod(0o700)
    daemon, manager = (LogDaemon(start.folder / name) for name in ("log", "notify"))
    changes += f"from qga.agent import journal\njournal._JOURNAL = {str(daemon.path)!r}\n"
    running = start(
        "-v", "-l", str(start.folder / "messages"), f"-F{hook}",
        changes=changes,
        blocked=blocked,
        env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "20000"},
    )  # fmt: skip
    with running.connect() as peer:
        assert peer.call("guest-fsfreeze-freeze") == 1
        (guardian,) = children(running.process.pid)
        end(guardian)
        until(lambda: set(children(running.process.pid)) - {guardian}, "another guardian")
        running.process.send_signal(signal.SIGHUP)
        manager.pending()
        assert manager.message() == "WATCHDOG=1"
        with running.connect() as other:
            other.call("guest-ping")
        arguments = {
            "guest-sync": {"id": 1},
            "guest-sync-delimited": {"id": 1},
            "qga-fsfreeze-renew": {
                "token": peer.call("qga-fsfreeze-report")["token"], "deadline-ms": 600_000
            },
        }  # fmt: skip
        for command in COMMANDS:
            if not command.NAME.endswith("-fsfreeze-thaw"):
                peer.send(request(command.NAME, arguments.get(command.NAME, {})))
                assert (b'"error"' in peer.line()) is not command.WHILE_FROZEN
        peer.ask("guest-file-write", handle=1000, buf_b64="QUJD" * 1_000_000)
        for message in ODD:
            peer.send(message + b"\n")
            peer.line()
        peer.ask("guest-absent")
        assert not report.exists()
        peer.call("guest-fsfreeze-thaw")
    assert report.read_text().split() == []
    assert report.with_name("report.guardian").read_text().split() == []
    assert "guest-fsthaw called" in {event["MESSAGE"] for event in daemon.events()}
    assert running.end() == 0
    daemon.close()
    manager.close()


def test_the_agent_leaves_no_compiled_files(tmp_path: Path) -> None:
    """Not while file systems are frozen, and so never."""
    package = tmp_path / "src"
    subprocess.run(["cp", "-r", str(SOURCES), str(package)], check=True)
    subprocess.run(
        ["find", str(package), "-name", "__pycache__", "-exec", "rm", "-r", "{}", "+"], check=True
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; "
        "runpy.run_module('qga.agent', run_name='__main__', alter_sys=True)"
    )
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(package), "-t", str(tmp_path), "-p", "absent"],
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    compiled = {path.name.split(".")[0] for path in package.rglob("*.pyc")}
    # What is loaded before the agent's own first statement.
    assert compiled <= {"__init__", "__main__"}
