"""The example programs, as somebody would run them, against fake and real agents."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from qga import protocol
from qga.testing import AgentProcess, FakeAgent
from tests.support.need import need_module

EXAMPLES = Path(__file__).parents[1] / "examples"


def command(name: str, *words: object) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, words)]


def run(name: str, *words: object, code: int = 0, **variables: str) -> str:
    """What an example prints, which has to end with exit code *code*; errors behind output."""
    done = subprocess.run(
        command(name, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@contextmanager
def started(words: list[str], **more: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program at work, which a test that fails does not wait for."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, **more) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def target(fake_agent: FakeAgent) -> Iterator[str]:
    with fake_agent.serve() as target:
        yield target


def test_all_are_listed_and_tested() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    listed = re.findall(
        r"^\| \[(\w+)\.py\]\(\1\.py\) \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(names) == sorted(listed)
    source = Path(__file__).read_text()
    programs = names - {"test_my_program"}
    assert [name for name in programs if f'("{name}"' not in source] == []


def test_backup(fake_agent: FakeAgent, target: str) -> None:
    said = run("backup", target, "--", sys.executable, "-c", "print('snapshot', flush=True)")
    assert said.splitlines()[0] == "snapshot"
    assert "2 file systems were frozen" in said
    assert [each.name for each in fake_agent.requests][-1] == "qga-fsfreeze-thaw"
    assert "exit code 3" in run("backup", target, "--", "sh", "-c", "exit 3", code=1)
    assert fake_agent.state == "thawed"


def test_backup_that_was_thawed_in_between(fake_agent: FakeAgent, target: str) -> None:
    with fake_agent.connect() as other:
        words = [sys.executable, "-c", f"import qga; qga.connect({target!r}).thaw()"]
        assert "not consistent" in run("backup", target, "--", *words, code=1)
        assert other.fsfreeze_status() == "thawed"


def test_facts_to_csv(tmp_path: Path) -> None:
    agents = [FakeAgent() for _ in range(5)]
    with ExitStack() as stack:
        targets = [stack.enter_context(agent.serve()) for agent in agents]
        for number, agent in enumerate(agents):
            agent.guest.host_name = f"web{number}"
        agents[4].kill()
        shown = run("facts_to_csv", *targets, f"unix:{tmp_path}/none")
    rows = {row["target"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert len(rows) == 6
    assert rows[targets[3]] == {
        "target": targets[3], "state": "ready", "name": "web3", "address": "192.0.2.10",
        "system": "Debian GNU/Linux 13 (trixie)", "fullest": "/", "use": "16 %",
    }  # fmt: skip
    assert rows[targets[4]]["state"] != "ready"
    assert "cannot open" in rows[f"unix:{tmp_path}/none"]["state"]


def test_rotate_ssh_keys(fake_agent: FakeAgent, target: str, tmp_path: Path) -> None:
    path = "/home/debian/.ssh/authorized_keys"
    fake_agent.files[path] = b"ssh-x OLD me\nssh-x OTHER\n"
    (tmp_path / "old").write_text("ssh-x OLD me\n")
    (tmp_path / "new").write_text("ssh-x NEW me\n")
    words = ("rotate_ssh_keys", target, "debian", tmp_path / "old", tmp_path / "new")
    run(*words)
    assert fake_agent.files[path] == b"ssh-x OTHER\nssh-x NEW me\n"
    fake_agent.files[path] = b"ssh-x OLD me\n"
    fake_agent.reply(protocol.SshGetAuthorizedKeys, protocol.accounts.AuthorizedKeys(keys=[]))
    assert "did not arrive" in run(*words, code=1)
    assert b"OLD" in fake_agent.files[path]


def test_wait_for_cloud_init(fake_agent: FakeAgent, target: str) -> None:
    result = {"v1": {"datasource": "DataSourceNoCloud", "errors": []}}
    fake_agent.files.mkdir("/run/cloud-init")
    assert "cloud-init is not done" in run("wait_for_cloud_init", target, "--timeout", 1, code=1)
    # It boots, and is set up, while the program waits.
    fake_agent.kill()
    asked = len(fake_agent.asked(protocol.FileOpen))
    words = command("wait_for_cloud_init", target, "--timeout", 60)
    with started(words, text=True) as waiting:
        time.sleep(0.2)
        fake_agent.start()
        while len(fake_agent.asked(protocol.FileOpen)) == asked:
            time.sleep(0.01)
        fake_agent.files["/run/cloud-init/result.json"] = json.dumps(result).encode()
        assert waiting.communicate()[0] == "fake is ready at 192.0.2.10\n"
    result["v1"]["errors"] = ["('scripts_user', ...)"]
    fake_agent.files["/run/cloud-init/result.json"] = json.dumps(result).encode()
    assert "scripts_user" in run("wait_for_cloud_init", target, code=1)


@pytest.mark.qga_agent(allow=["guest-exec"])
def test_copy_tree(qga_agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "site/.git").mkdir(parents=True)
    (tmp_path / "site/index.html").write_text("<h1>hi</h1>")
    (tmp_path / "site/link").symlink_to("index.html")
    copy = qga_agent.directory / "copy"
    said = run("copy_tree", tmp_path / "site", qga_agent.target, copy, "--exclude", ".git")
    assert "2 files, 11 bytes" in said
    assert (copy / "link").read_text() == "<h1>hi</h1>"
    assert not (copy / ".git").exists()
    assert "not copied" in run("copy_tree", tmp_path / "none", qga_agent.target, copy, code=1)


@pytest.mark.qga_agent(allow=["guest-exec"])
def test_run_live(qga_agent: AgentProcess) -> None:
    go = qga_agent.directory / "go"
    script = (
        f"echo begun; echo bad >&2; while [ ! -e {go} ]; do sleep 0.01; done; echo done; exit 7"
    )
    words = command("run_live", qga_agent.target, "--", "sh", "-c", script)
    with started(words, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"begun\n"
        assert process.stderr.readline() == b"bad\n"
        go.touch()
        assert process.stdout.read() == b"done\n"
        assert process.wait() == 7
    assert run("run_live", qga_agent.target, "--", "sh", "-c", "kill -9 $$", code=137) == ""
    assert "/no/such" in run("run_live", qga_agent.target, "--", "/no/such", code=1)


@contextmanager
def tailing(*words: object) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The example at work: its output and its errors. An interrupt ends it without a word."""
    with started(command("tail_log", *words), stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout, process.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr.read() == b""


def test_tail_log(fake_agent: FakeAgent, target: str) -> None:
    fake_agent.files["/var/log/syslog"] = b"one\ntwo\n"
    with tailing(target, "/var/log/syslog", "--lines", 1) as (out, errors):
        assert out.readline() == b"two\n"
        with fake_agent.connect() as guest:
            guest.write_file("/var/log/syslog", b"three\n", append=True)
            assert out.readline() == b"three\n"
            fake_agent.files["/var/log/syslog"] = b"0\n"
            assert out.readline() == b"0\n"
            assert errors.readline() == b"/var/log/syslog: replaced\n"
    with tailing(target, "/var/log/later") as (out, errors):
        assert errors.readline() == b"/var/log/later: gone\n"
        fake_agent.files["/var/log/later"] = b"begun\n"
        assert out.readline() == b"begun\n"
        assert errors.readline() == b"/var/log/later: appeared\n"
    fake_agent.blocked = {"guest-file-open"}
    assert "guest-file-open" in run("tail_log", target, "/var/log/syslog", code=1)


def test_disk_alert(fake_agent: FakeAgent, target: str, tmp_path: Path) -> None:
    assert run("disk_alert", target) == ""
    assert run("disk_alert", "--above", 10, target, code=1) == f"{target}: / is 16 % full\n"
    said = run("disk_alert", "--above", 10, f"unix:{tmp_path}/none", target, code=2)
    assert "cannot open" in said
    assert "16 % full" in said


def test_set_time_after_resume(fake_agent: FakeAgent, target: str) -> None:
    assert "left alone" in run("set_time_after_resume", target, "--tolerance", 60)
    fake_agent.guest.clock_offset = -1000
    assert "was -1000." in run("set_time_after_resume", target)
    assert abs(fake_agent.guest.clock_offset) < 60


def test_inventory(fake_agent: FakeAgent, target: str, tmp_path: Path) -> None:
    names = tmp_path / "targets.toml"
    names.write_text(f'[targets]\nweb = "{target}"\ndb = "unix:{tmp_path}/none"\n')
    said = run("inventory", QGA_TARGETS=str(names))
    assert re.search(r"^web +ready +Debian GNU/Linux 13", said, re.MULTILINE)
    assert re.search(r"^db +no-channel +cannot open", said, re.MULTILINE)


def test_inventory_of_a_libvirt() -> None:
    need_module("libvirt", "apt-get install gcc libvirt-dev pkg-config python3-dev; make test")
    # libvirt's own make-believe driver has one guest, without an agent.
    assert re.search(r"^test +no-agent", run("inventory", "libvirt+test:///default"), re.MULTILINE)


def test_tests() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    example = EXAMPLES / "test_my_program.py"
    done = subprocess.run([*words, example], stdout=subprocess.PIPE, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout
    assert not [each for each in threading.enumerate() if each.name == "qga fake agent"]
