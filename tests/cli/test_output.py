"""What every command has in common: -o, colours, errors in one line."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from qga.cli.app import TOPICS
from qga.testing import AgentProcess, FakeAgent

from .command import Done, Run

# How each command is called for one guest, T; where it is not by T alone. D is a directory of the
# guest, with a file in it.
WORDS = {
    "call": ["T", "guest-get-host-name"],
    "exec": ["T", "--", "true"],
    "ls": ["T:D"],
    "cat": ["T:D/file"],
    "head": ["T:D/file"],
    "tail": ["T:D/file"],
    "cp": ["T:D/file", "copied"],
    "stat": ["T:D/file"],
    "find": ["T:D"],
    "du": ["T:D"],
    "df": ["T:D"],
    "mkdir": ["-p", "T:D/new"],
    "touch": ["T:D/touched"],
    "ln": ["-sf", "goal", "T:D/link"],
    "mv": ["T:D/link", "T:D/moved"],
    "rm": ["-f", "T:D/none"],
    "chmod": ["600", "T:D/file"],
    "chown": [f"{os.geteuid()}", "T:D/file"],
    "top": ["-n", "1", "-d", "0.1", "T"],
    "freeze": ["T", "--", "true"],
    "wait": ["T", "--for", "ready"],
    "ssh-keys": ["list", "T", "debian"],
    "targets": [],
    "schema": [],
    "help": ["guest-file"],
}

# These change the guest itself, which has to be a fake one.
GRAVE = {"freeze", "thaw", "trim", "shutdown", "reboot", "halt", "suspend", "ssh-keys"}

# Where -o json goes, if not to standard output: that is the program's.
ON_STDERR = {"freeze"}

# These print what is none of theirs: no -o, or none for programs. Or they ask for a secret.
PLAIN = {"completion", "shell", "edit", "passwd"}

# These are for domains of libvirt alone: tests/libvirt has some.
DOMAINS = {"snapshot"}

# What is wrong with a target is what these tell, or wait for the end of.
TELLING = {"doctor", "top", "wait"}

# What these say of a machine that is busy.
FINDING = {"doctor": 1}

pytestmark = pytest.mark.timeout(120)

NAMES = [name for topic in TOPICS.values() for name in topic if name not in PLAIN]


def words_of(name: str, target: str, folder: object = "/tmp/none") -> list[str]:
    def meant(word: str) -> str:
        word = re.sub(r"^T(?=:|$)", target, word)
        return re.sub(r":D", f":{folder}", word)

    return [name, *map(meant, WORDS.get(name, ["T"]))]


def with_options(words: list[str], *options: str) -> list[str]:
    """*words* with options: before what stands behind --."""
    border = words.index("--") if "--" in words else len(words)
    return [*words[:border], *options, *words[border:]]


def shape(value: Any) -> Any:
    """*value* without what differs from one look to the next: numbers, and what is found wrong."""
    if isinstance(value, dict):
        return {
            name: name in {"findings", "healthy"} or shape(item) for name, item in value.items()
        }
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return re.sub(r"\d+(\.\d+)?", "N", value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def folder(real_agent: AgentProcess) -> Path:
    found = real_agent.directory / "folder"
    found.mkdir()
    (found / "file").write_text("text\n")
    return found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied here is not copied into the sources; and what else runs here is not found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QGA_FIND", "files")


@contextmanager
def guest(name: str, real_agent: AgentProcess) -> Iterator[str]:
    """The target for a command of this name."""
    if name in GRAVE:
        with FakeAgent().serve() as target:
            yield target
    else:
        yield real_agent.target


# To suspend takes seconds of silence each time; what it prints is like what reboot does.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in DOMAINS | {"suspend"}])
def test_forms_for_programs_agree(
    name: str, qga_command: Run, real_agent: AgentProcess, folder: Path
) -> None:
    def text(form: str) -> str:
        (folder / "link").unlink(missing_ok=True)
        (folder / "link").symlink_to("goal")
        with guest(name, real_agent) as target:
            done: Done = qga_command(*with_options(words_of(name, target, folder), "-o", form))
        assert done.code in {0, FINDING.get(name, 0)}
        expected, silent = (done.err, done.text) if name in ON_STDERR else (done.text, done.err)
        assert silent == ""
        return expected

    found = json.loads(text("json"))
    lines = [json.loads(line) for line in text("jsonl").splitlines()]
    assert shape(yaml.safe_load(text("yaml"))) == shape(found)
    assert shape(lines) == shape(found if isinstance(found, list) else [found])


@pytest.mark.parametrize(
    "name", sorted({name for name in NAMES if "T" in str(WORDS.get(name, "T"))} - TELLING)
)
def test_errors_are_one_line(name: str, qga_command: Run) -> None:
    done = qga_command(*words_of(name, "unix:/nonexistent/agent"))
    assert (done.code in {3, 125}, done.out) == (True, b"")
    assert re.fullmatch(r"qga: cannot open unix:/nonexistent/agent: .*; .*\n", done.err)


# Runs each command of its arguments, which are JSON, with a line between them.
_ONE_BY_ONE = """
import json, os, sys
from qga.cli.app import run
for words, environment in json.loads(sys.argv[1]):
    os.environ.update(environment)
    code = run(words)
    for name in environment:
        if name != "TERM":
            del os.environ[name]
    os.environ["TERM"] = "xterm-256color"
    print(f"<<{code}>>", flush=True)
"""

# What turns colours off; a progress bar may still move the cursor, but not on a dumb terminal.
WITHOUT = {
    "--no-color": (["--no-color"], {}, "\x1b\\[[0-9;:]*m"),
    "NO_COLOR": ([], {"NO_COLOR": "1"}, "\x1b\\[[0-9;:]*m"),
    "dumb": ([], {"TERM": "dumb"}, "\x1b"),
}


def test_no_colours_where_none_are_wanted(
    real_agent: AgentProcess, folder: Path, tmp_path: Path
) -> None:
    """On a terminal: one process for all, as there are many."""
    names = [name for name in NAMES if name not in {*GRAVE, *DOMAINS, "mv", "exec"}]
    ways = [([], {}, ""), *WITHOUT.values()]
    calls = [
        (with_options(words_of(name, real_agent.target, folder), *options), environment)
        for options, environment, _ in ways
        for name in names
    ]
    shown = on_terminal([sys.executable, "-c", _ONE_BY_ONE, json.dumps(calls)], tmp_path)
    *parts, rest = re.split(r"<<(\d+)>>\r?\n", shown)
    assert rest == ""
    assert set(parts[1::2]) == {"0"}
    texts = parts[::2]
    assert "\x1b[" in "".join(texts[: len(names)])
    del texts[: len(names)]
    for _, environment, unwanted in WITHOUT.values():
        for name in names:
            assert not re.search(unwanted, texts.pop(0)), (name, environment)


def on_terminal(command: list[str], folder: Path) -> str:
    """What *command* prints on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ):
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # how a terminal tells that its other side is gone
            pass
    os.close(ours)
    return shown.decode()
