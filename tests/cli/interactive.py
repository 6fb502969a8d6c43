"""An interactive bash, zsh or fish on a terminal of its own, to complete words in.

`Shell.completed` types a line and Tab, and returns what the line has become: a key that the shell
is told of prints it.
"""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.support.need import need_program

TELL, FORGET = "\x0f", "\x15"  # Ctrl-O prints the line, Ctrl-U empties it
PATIENCE = 120

# What each shell reads when it starts: completion, and the key.
_START = {
    "bash": """\
source <(qga completion bash)
bind 'set bell-style none'
bind -x '"\\C-o": printf "<<%s>>" "$READLINE_LINE"'
PS1='ready> '
""",
    "zsh": """\
autoload -Uz compinit && compinit -u -D
source <(qga completion zsh)
tell() { print -rn -- "<<$BUFFER>>" }
zle -N tell
bindkey '^O' tell
bindkey '^U' kill-whole-line
unsetopt prompt_sp
PS1='ready> '
""",
    "fish": """\
qga completion fish | source
function fish_prompt; echo -n 'ready> '; end
function fish_greeting; end
bind \\co 'printf "<<%s>>" (commandline | string collect)'
bind \\cu 'commandline ""'
""",
}


class Shell:
    """A shell that runs; its files are in *folder*."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        path = need_program(name, f"apt-get install {name}")
        start = folder / {"bash": "bashrc", "zsh": ".zshrc", "fish": "config.fish"}[name]
        start.write_text(_START[name])
        self._ours, theirs = pty.openpty()
        words = {
            "bash": ["--noprofile", "--rcfile", str(start), "-i"],
            "zsh": ["-d", "-i"],
            "fish": ["--no-config", "--init-command", f"source {start}", "-i"],
        }
        scripts = Path(sys.executable).parent  # where qga is
        # The terminal is the session's own, as shells with jobs want it.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", path, *words[name]],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={
                "PATH": f"{scripts}:{os.environ['PATH']}",
                "HOME": str(folder),
                "ZDOTDIR": str(folder),
                "XDG_CONFIG_HOME": str(folder / "config"),
                "XDG_DATA_HOME": str(folder / "data"),
                "LC_ALL": "C.UTF-8",
                "TERM": "xterm",
                "HISTFILE": "/dev/null",
                "QGA_FIND": "files",
                **environment,
            },
        )
        os.close(theirs)
        self.shown = ""
        self._until("ready> ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)
        self._process.kill()
        self._process.wait()

    def completed(self, line: str, keys: str = "\t") -> str:
        """What *line* becomes by *keys*."""
        return self.typed(FORGET + line + keys)

    def typed(self, keys: str) -> str:
        """The line after *keys*."""
        self.shown = ""
        os.write(self._ours, (keys + TELL).encode())
        return self._until(r"<<(.*?)>>")

    def _until(self, pattern: str) -> str:
        """Read until *pattern* comes; return what its last group is."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown, re.DOTALL)):
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern} in {self.shown!r}"
            if select.select([self._ours], [], [], left)[0]:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
        return found[found.lastindex or 0]
