"""The public interface under mypy (strict) and pyright: what is right passes, what is wrong fails.

The code that they check is in `*.py.txt`: not a .py, since `make lint` would refuse it.
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
SOURCES = sorted(Path(__file__).parent.glob("*.py.txt"))

# What is found wrong, by file and line.
Found = dict[tuple[str, int], str]


def check(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout


def by_mypy(folder: Path) -> Found:
    output = check("mypy", "--strict", "--no-pretty", str(folder))
    found = re.findall(r"(\w+\.py):(\d+): error: (.*)", output)
    assert len(found) == output.count(" error: "), output
    return {(file, int(line)): text for file, line, text in found}


def by_pyright(folder: Path) -> Found:
    report = json.loads(check("pyright", "--outputjson", str(folder)))
    assert report["summary"]["filesAnalyzed"] == len(SOURCES)
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1): found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_errors_are_where_they_should_be(checker: Callable[[Path], Found], tmp_path: Path) -> None:
    lines: dict[tuple[str, int], str] = {}
    for source in SOURCES:
        copy = tmp_path / source.stem
        copy.write_text(source.read_text())
        numbered = enumerate(source.read_text().splitlines(), 1)
        lines.update({(copy.name, number): line for number, line in numbered})
    expected = {place for place, line in lines.items() if "  # error" in line}
    found = checker(tmp_path)
    wrong = {place: found[place] for place in found.keys() - expected}
    missed = {place: lines[place] for place in expected - found.keys()}
    assert (wrong, missed) == ({}, {})
