"""The public interface under mypy (strict) and pyright: what is right passes, what is wrong fails.

The code that they check is in `interface.py.txt`: not a .py, since `make lint` would refuse it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.typing

ROOT = Path(__file__).parents[2]
INTERFACE = Path(__file__).with_name("interface.py.txt")


def check(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout


def by_mypy(module: Path) -> dict[int, str]:
    output = check("mypy", "--strict", "--no-pretty", str(module))
    found = re.findall(r"interface\.py:(\d+): error: (.*)", output)
    assert len(found) == output.count(" error: "), output
    return {int(line): text for line, text in found}


def by_pyright(module: Path) -> dict[int, str]:
    report = json.loads(check("pyright", "--outputjson", str(module)))
    assert report["summary"]["filesAnalyzed"] == 1
    return {
        found["range"]["start"]["line"] + 1: found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_errors_are_where_they_should_be(
    checker: Callable[[Path], dict[int, str]], tmp_path: Path
) -> None:
    source = INTERFACE.read_text()
    lines = source.splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "  # error" in line}
    module = tmp_path / "interface.py"
    module.write_text(source)
    found = checker(module)
    wrong = {line: found[line] for line in found.keys() - expected}
    missed = {line: lines[line - 1] for line in expected - found.keys()}
    assert (wrong, missed) == ({}, {})
