"""What of guest-exec goes through the API as it is, and what the guest's shell does for it."""

import json
import subprocess
from typing import Any

import pytest

import qga
from qga.client.proxmox.programs import INPUT, INPUT_ASCII, shell, started


def run(arguments: dict[str, Any]) -> "subprocess.CompletedProcess[bytes]":
    """What the agent would do for the API: start the words, with the input."""
    parameters = started(arguments)
    assert json.dumps(parameters, ensure_ascii=False).isascii()
    data = parameters.get("input-data")
    command = parameters["command"]
    return subprocess.run(command, input=data and data.encode(), capture_output=True, check=False)


def test_the_plain_ones_go_as_they_are() -> None:
    arguments = {"path": "cat", "arg": ["-"], "input-data": b"text", "capture-output": True}
    assert started(arguments) == {"command": ["cat", "-"], "input-data": "text"}
    assert started({"path": "true", "capture-output": "separated"}) == {"command": ["true"]}
    # As `Client.call` has it: base64.
    assert started({"path": "cat", "input-data": "dGV4dA==", "capture-output": True}) == {
        "command": ["cat"],
        "input-data": "text",
    }


def test_any_words_and_any_input() -> None:
    words = ["ä\n", "", "'\"$x\\\n", "-n", "\udcff", "日本"]
    data = bytes(range(256)) * 3
    text = 'printf "%s\\0" "$@"; cat; exit 7'
    arguments = {"path": "sh", "arg": ["-c", text, "sh", *words], "capture-output": True}
    done = run({**arguments, "input-data": data})
    expected = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words) + data
    assert (done.stdout, done.stderr, done.returncode) == (expected, b"", 7)


def test_the_program_takes_the_place_of_the_shell() -> None:
    done = run({"path": "sh", "arg": ["-c", "kill -9 $$"], "capture-output": "merged"})
    assert done.returncode == -9


@pytest.mark.parametrize(
    ("mode", "out", "err"),
    [
        (True, b"out\n", b"err\n"),
        ("separated", b"out\n", b"err\n"),
        (False, b"", b""),
        (None, b"", b""),
        ("none", b"", b""),
        ("stdout", b"out\n", b""),
        ("stderr", b"", b"err\n"),
        ("merged", b"out\nerr\n", b""),
    ],
)
def test_modes_of_capture(mode: Any, out: bytes, err: bytes) -> None:
    arguments = {"path": "sh", "arg": ["-c", "echo out; echo err >&2"], "capture-output": mode}
    done = run(arguments)
    assert (done.stdout, done.stderr) == (out, err)


def test_an_environment_is_all_that_the_program_has() -> None:
    environment = ["A=1", "B=ä b"]
    done = run({"path": "/usr/bin/env", "env": environment, "capture-output": True})
    assert done.stdout.decode() == "A=1\nB=ä b\n"
    with pytest.raises(qga.Unsupported, match="a=b"):
        started({"path": "/a=b", "env": [], "capture-output": True})


def test_input_has_a_limit() -> None:
    assert len(started({"path": "cat", "input-data": b"a" * INPUT_ASCII})["input-data"]) < 1 << 16
    assert len(started({"path": "cat", "input-data": b"\xff" * INPUT})["input-data"]) < 1 << 16
    for data in (b"a" * (INPUT_ASCII + 1), b"\xff" * (INPUT + 1)):
        with pytest.raises(qga.Unsupported, match="bytes of input"):
            started({"path": "cat", "input-data": data})


def test_a_mode_that_nobody_knows() -> None:
    with pytest.raises(qga.Unsupported, match="sideways"):
        started({"path": "true", "capture-output": "sideways"})


def test_words_of_a_script() -> None:
    words = ["plain", "ü\n\n", ""]
    for given in (words, words[:1]):
        command = shell('printf "%s\\0" "$@"', *given)
        assert all(map(str.isascii, command))
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout.decode() == "".join(f"{word}\0" for word in given)
