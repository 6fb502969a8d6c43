"""The Pythons that the package is tried under: this one, and the newer ones on this machine."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def _interpreters() -> Iterator[str]:
    yield sys.executable
    for minor in (12, 13):
        if sys.version_info[:2] == (3, minor):
            continue
        name = f"python3.{minor}"
        versions = Path.home() / ".pyenv" / "versions"
        for python in (name, *map(str, sorted(versions.glob(f"3.{minor}.*/bin/{name}")))):
            # One on PATH may be no more than a signpost to versions that are not there.
            try:
                subprocess.run([python, "-c", ""], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            yield python
            break


PYTHONS = tuple(_interpreters())
