"""The output of a script in the guest, of any length. For `looking` and `globbing`.

An agent keeps 16 MiB of what a program prints, and some channels carry less than that in one reply.
So the output goes to a temporary file of the guest, in memory where the guest has a place there. A
short one is returned at once and the file is gone; a longer one is fetched part by part. Somebody
in the guest removes the file if nobody comes for it.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

from qga.errors import GuestOSError

from .asking import ask, judged, run
from .script import later, quote
from .steps import GetLimits

if TYPE_CHECKING:
    from .script import GuestPath, Output
    from .steps import Flow, Limits

# What one reply carries, and in what pieces dd makes it, in bytes.
PART = 4 << 20
_BLOCK = 1 << 16

# More than what is around the text of a script, in bytes.
_AROUND = 4096

# How the name of the file begins.
_PREFIX = "qga."

# How long a file waits for who asked for it, in seconds.
_KEPT = 600

# "=" and the output, or "+", its length and where it is. Without a place for a temporary file all
# is returned at once.
_KEEPING = """work() {
%(text)s
}
umask 077
for d in /run /dev/shm /tmp; do
    t=$(mktemp "$d/%(prefix)sXXXXXX" 2>/dev/null) && break
    t=
done
if [ -z "$t" ]; then printf =; work "$@"; return; fi
trap 'rm -f "$t"' EXIT
trap 'exit 129' HUP INT PIPE TERM
work "$@" >"$t"
code=$?
size=$(wc -c <"$t")
if [ "$size" -le %(part)d ]; then
    printf =
    cat "$t"
    return "$code"
fi
trap - EXIT
(
    i=0
    while [ -e "$t" ] && [ "$i" -lt %(kept)d ]; do sleep 1; i=$((i + 1)); done
    rm -f "$t"
) >/dev/null 2>&1 </dev/null &
printf '+%%d %%s' "$size" "$t"
return "$code"
"""

_FETCH = """dd if="$1" bs="$2" skip="$3" count="$4" 2>/dev/null || return
if [ -n "$5" ]; then rm -f "$1"; fi"""


def answer(text: str, *arguments: GuestPath) -> Flow[Output]:
    """Run *text* in the guest's shell, as `script` does; its standard output may have any length.

    Raises:
        CommandDisabled, CommandNotFound: the agent runs no programs.
        Unsupported: the guest has no shell.
        GuestOSError: a part of the output could not be fetched.
    """
    whole = _KEEPING % {"text": text, "part": PART, "kept": _KEPT, "prefix": _PREFIX}
    done = yield from run(whole, *arguments)
    kind, rest = done.out[:1], done.out[1:]
    if kind != b"+":
        return replace(done, out=rest)
    size, _, path = rest.decode().partition(" ")
    return replace(done, out=(yield from _fetch(path, int(size))))


def answers(what: str, text: str, paths: list[bytes]) -> Flow[list[bytes]]:
    """What a script prints about *paths*, with a NUL behind each; asked in pieces if need be.

    Args:
        what: what could not be done if it fails.
        text: the script.
        paths: its arguments: as many at once as a command can carry.
    """
    limits: Limits = yield GetLimits()
    found: list[bytes] = []
    while paths:
        count, size = 0, _AROUND + len(text)
        for path in paths:
            size += len(quote(path)) + 1
            if count and size > limits.input:
                break
            count += 1
        done = yield from answer(text, *paths[:count])
        found += judged(what, done).split(b"\0")[:-1]
        paths = paths[count:]
    return found


def _fetch(path: str, size: int) -> Flow[bytes]:
    """The content of a temporary file, which is removed."""
    data = bytearray()
    count = max(1, PART // _BLOCK)
    try:
        while len(data) < size:
            expected = min(count * _BLOCK, size - len(data))
            last = "last" if len(data) + expected == size else ""
            numbers = map(str, (_BLOCK, len(data) // _BLOCK, count))
            part = yield from ask("fetch a part of the answer", _FETCH, path, *numbers, last)
            if len(part) != expected:
                raise GuestOSError(f"{path}, an answer in the guest, has been cut", errno.EIO)
            data += part
    except GeneratorExit:
        raise
    except BaseException:
        yield later('rm -f "$1"', path)
        raise
    return bytes(data)
