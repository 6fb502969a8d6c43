"""A terminal to use `qga` in, with a screen to look at: tmux, of its own and without settings."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.need import need_program

PATIENCE = 60.0


class Screen:
    """What is shown in a terminal in which a shell runs."""

    def __init__(self, program: str, socket: Path) -> None:
        self._command = [program, "-S", str(socket), "-f", "/dev/null"]

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def type(self, text: str) -> None:
        """Type a line."""
        self.tmux("send-keys", "-l", text)
        self.keys("Enter")

    def keys(self, *names: str) -> None:
        """Press keys, as C-c."""
        self.tmux("send-keys", *names)

    def resize(self, rows: int, columns: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def shown(self, *options: str) -> str:
        """The text of the screen, with colours as tmux writes them where *options* has -e."""
        return self.tmux("capture-pane", "-p", *options)

    def sees(self, text: str, *options: str) -> str:
        """Wait until *text* is shown; return all that is."""
        until = time.monotonic() + PATIENCE
        while text not in (shown := self.shown(*options)):
            assert time.monotonic() < until, f"{text!r} is not shown, but\n{shown}"
            time.sleep(0.05)
        return shown

    def prompts(self, text: str) -> None:
        """Wait for the prompt *text*, before which nothing is typed yet."""
        until = time.monotonic() + PATIENCE
        while not (shown := self.shown().rstrip()).endswith(f"\n{text}") and shown != text:
            assert time.monotonic() < until, f"no prompt {text!r}, but\n{shown}"
            time.sleep(0.05)

    def says(self, line: str) -> None:
        """Wait for a line that is just that, the last one before the prompt or among the others."""
        until = time.monotonic() + PATIENCE
        while line not in (shown := self.shown()).splitlines():
            assert time.monotonic() < until, f"no line {line!r}, but\n{shown}"
            time.sleep(0.05)


@contextmanager
def screen(directory: Path, **environment: str) -> Iterator[Screen]:
    """A screen of 24 rows and 80 columns; its shell's prompt is `local>`, `qga` is on its path."""
    program = need_program("tmux", "apt-get install tmux")
    directory.mkdir(mode=0o700, exist_ok=True)
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(directory),
        "QGA_FIND": "files",
        "LANG": "C.UTF-8",
        "PS1": "local> ",
    } | environment
    found = Screen(program, directory / "tmux.sock")
    words = [f"{name}={value}" for name, value in variables.items()]
    size = ("-x", "80", "-y", "24", "-c", str(directory))
    found.tmux("new-session", "-d", *size, "env", "-i", "TERM=screen-256color", *words, "/bin/sh")
    try:
        found.prompts("local>")
        yield found
    finally:
        found.tmux("kill-server")
