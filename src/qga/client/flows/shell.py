"""A terminal in the guest: begun, typed into, read, resized, hung up. For `qga.client.shell`.

No agent can make one, so a program in the guest does: `PUMP` where there is Python, otherwise
`script`, of util-linux or busybox. It is started as every program with streams is, and both behave
alike, but for one thing: only Python can tell the end by a signal from an exit code above 128.

What runs in the terminal first is a line of shell. It sets the terminal up, prints which one it is
and its own process id, and becomes the program.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from qga.errors import QgaError, Unsupported

from .carrier import Carrier
from .pump import PUMP
from .script import SHELL, quote, script
from .steps import Timeout, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .script import GuestPath
    from .steps import Flow

# A pause between two looks, as a part of the time since something came or went: what comes is seen
# at once while somebody types, and a terminal at rest costs ten commands a second.
SIZE, TERM = (24, 80), "xterm-256color"

# A terminal of the usual size, and the one that most programs emulate today.
_EAGER, _SHORTEST, _LONGEST = 0.05, 0.001, 0.1

# How long the programs of a terminal that is hung up may take to end, in seconds.
_GRACE = 3

FIND = """
if python3 -I -S -c 'import pty, select' 2>/dev/null; then echo python3
elif script --help 2>&1 | grep -q -e '-e[],/ ]'; then echo script -e
elif command -v script >/dev/null; then echo script
fi
"""

# In the terminal; %s: environment, directory and program.
_BEGIN = b"""stty sane 2>/dev/null; stty iutf8 2>/dev/null
stty rows %d cols %d
entry=$(getent passwd "$(id -u)" 2>/dev/null || grep "^$(id -un):" /etc/passwd)
IFS=: read -r USER _ _ _ _ HOME SHELL <<.
$entry
.
[ -x "$SHELL" ] || SHELL=/bin/sh
[ "$HOME" ] || HOME=/
LOGNAME=$USER TERM=%s
export USER LOGNAME HOME SHELL TERM
cd %s || exit
printf '%%s %%s\\n' "$(tty)" $$
%sexec %s
"""

# The group of a terminal that belongs to it and to no program at rest.
_RESIZE = '[ -d "/proc/$1" ] && stty rows "$3" cols "$4" <"$2"'

_HANG_UP = """
members() {
    for stat in /proc/[0-9]*/stat; do
        read -r line 2>/dev/null <"$stat" || continue
        set -- $leader ${line%% *} ${line##*) }
        [ "$6" = "$leader" ] && [ "$3" != Z ] && echo "$2"
    done
}
leader=$1 rounds=$2
found=$(members)
[ "$found" ] || exit 0
kill -HUP $found 2>/dev/null
kill -CONT $found 2>/dev/null
while [ "$rounds" -gt 0 ] && [ -d "/proc/$leader" ]; do
    rounds=$((rounds - 1))
    sleep 0.05 2>/dev/null || sleep 1
done
[ -d "/proc/$leader" ] && kill -KILL $(members) 2>/dev/null
exit 0
"""


class Session:
    """A terminal in the guest with a program in it.

    Attributes:
        terminal: its name in the guest, as /dev/pts/3.
        pid: the process id of the program there.
        returncode: its exit code, negative for a signal; None while it runs.
    """

    def __init__(self) -> None:
        self.terminal = ""
        self.pid = 0
        self.returncode: int | None = None
        self._carrier = Carrier()
        self._arrived = bytearray()
        self._active = time.monotonic()
        self._closed = False
        # Of the output, to read characters that came in pieces only when they are whole.

    def begin(
        self,
        command: Sequence[GuestPath] | GuestPath | None,
        *,
        user: str | None,
        env: Mapping[str, str] | None,
        cwd: GuestPath | None,
        size: tuple[int, int],
        term: str,
    ) -> Flow[None]:
        found = (yield from script(FIND)).out.decode().split()
        if not found:
            raise Unsupported(
                "the guest has nothing that makes a terminal: install the package python3 there,"
                " or the one with the program script, which is util-linux or bsdutils"
            )
        text = _beginning(command, env=env, cwd=cwd, size=size, term=term)
        if found[0] == "python3":
            argv = ["python3", "-I", "-S", "-c", PUMP, SHELL, "-c", os.fsdecode(text)]
        else:
            options = "-qfec" if "-e" in found else "-qfc"
            argv = ["script", options, os.fsdecode(text), "/dev/null"]
        yield from self._carrier.start(argv, ["PATH=/usr/bin:/bin", f"SHELL={SHELL}"])
        yield from self._greeting()

    def _greeting(self) -> Flow[None]:
        while b"\n" not in self._arrived:
            yield from self.collect()
            if self.returncode is not None:
                told = self._arrived.decode(errors="replace").strip()
                raise QgaError(f"the guest's terminal did not begin: {told or self.returncode}")
            yield Wait(self.pause())
        line, _, self._arrived = self._arrived.partition(b"\n")
        terminal, _, pid = line.decode().strip().rpartition(" ")
        self.terminal, self.pid = terminal, int(pid)

    def pause(self) -> float:
        """Until the next look for output, in seconds."""
        return min(_LONGEST, max(_SHORTEST, _EAGER * (time.monotonic() - self._active)))

    def collect(self) -> Flow[None]:
        """Take what has come, without waiting for more."""
        if self.returncode is not None:
            return
        data = yield from self._carrier.poll()
        if data:
            self._arrived += data
            self._active = time.monotonic()
        else:
            self.returncode = self._carrier.returncode

    def read(self, *, timeout: float | None = None) -> Flow[bytes | None]:
        until = None if timeout is None else time.monotonic() + timeout
        while not self._arrived:
            yield from self.collect()
            if self._arrived:
                break
            if self.returncode is not None:
                return b""
            pause = self.pause()
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                pause = min(pause, left)
            yield Wait(pause)
        data, self._arrived = bytes(self._arrived), bytearray()
        return data

    def write(self, data: bytes) -> Flow[None]:
        view = memoryview(data)
        while view and self.returncode is None:
            taken = yield from self._carrier.send(view)
            self._active = time.monotonic()
            view = view[taken:]
            if not taken:
                yield from self.collect()
                yield Wait(_SHORTEST)

    def resize(self, rows: int, columns: int) -> Flow[None]:
        _check(rows, columns)
        if self.returncode is None:
            yield from script(_RESIZE, str(self.pid), self.terminal, str(rows), str(columns))

    def wait(self) -> Flow[int]:
        while self.returncode is None:
            yield from self.collect()
            if self.returncode is None:
                yield Wait(self.pause())
        return self.returncode

    def close(self) -> Flow[None]:
        if self._closed:
            return
        self._closed = True
        yield Timeout(None, despite=True)
        if self.returncode is None:
            yield from script(_HANG_UP, str(self.pid), str(_GRACE * 20))
            while self.returncode is None:
                yield from self.collect()
        yield from self._carrier.close()


def _check(rows: int, columns: int) -> None:
    for number in (rows, columns):
        if not 0 < number < 1 << 16:
            raise ValueError(f"a terminal has from 1 to 65535 rows and columns, not {number}")


def _beginning(command, *, env, cwd, size, term) -> bytes:
    _check(*size)
    if command is None:
        words = b'"$SHELL" -l'
    elif isinstance(command, str | bytes):
        words = b" ".join((SHELL.encode(), b"-c", quote(command)))
    else:
        words = b" ".join(map(quote, command))
    exports = b"".join(
        b"export %s=%s\n" % (os.fsencode(name), quote(value)) for name, value in (env or {}).items()
    )
    where = b'"$HOME"' if cwd is None else quote(cwd)
    return _BEGIN % (*size, quote(term), where, exports, words)
