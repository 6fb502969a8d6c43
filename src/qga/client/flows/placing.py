"""How a new file gets to its place in the guest: what its shell does before and after the data.

The data goes to a file beside the place, which nobody else may read. When it is complete it is
checked, gets its owner and permissions, is written to the disk and renamed: whoever looks finds
the old file or the new one. For `sending`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import CommandDisabled, CommandError, GuestOSError, QgaError, Unsupported

from . import moving
from .asking import fail, run, told
from .script import later
from .summing import STAMP

if TYPE_CHECKING:
    from .script import Output
    from .steps import Flow

# Prints the checksum of the file $1, which has $2 bytes. Most systems' sha256sum takes four times
# as long as OpenSSL, which takes longer to start.
SUM = r"""
sha256() {
    if [ "$2" -ge 16777216 ] && command -v openssl >/dev/null; then
        openssl dgst -sha256 -r <"$1" 2>/dev/null && return
    fi
    sha256sum <"$1"
}
"""

# What scripts end with that have found the checksum wrong, or no place for another file beside the
# one to be written, or no program that makes checksums.
MISMATCH, NO_PLACE, UNCHECKED = 65, 66, 69

# $1 is the path, $2 the name of the file beside it, or nothing if the data goes to its place at
# once. Sets `target`, which is what a symlink leads to, and `temporary`.
_RESOLVE = r"""
target=$1
if [ -L "$target" ]; then
    target=$(readlink -f "$1" && echo x) || { echo "$1: No such file or directory" >&2; return 1; }
    target=${target%?x}
fi
temporary=$target
[ -z "$2" ] || temporary=${target%/*}/$2
"""

# $3 is whether to continue with what there is, $4 and $5 are the owner and the group to be. They
# are tried out while the file is empty, not after an hour of copying. $6 is the umask. The output
# is the file to write to, and its size.
_PREPARE = (
    _RESOLVE
    + r"""
[ ! -d "$target" ] || { echo "$1: Is a directory" >&2; return 1; }
[ ! -e "$target" ] || [ -f "$target" ] || { echo "$1: not a regular file" >&2; return 1; }
[ -d "${target%/*}/" ] || { echo "$1: No such file or directory" >&2; return 1; }
size=0
if [ -f "$temporary" ] && [ ! -L "$temporary" ] && [ -n "$3" ] &&
    { [ -z "$2" ] || [ -O "$temporary" ]; }; then
    size=$(stat -c %s "$temporary") || return
else
    [ -z "$2" ] || rm -f "$temporary" || return
    if [ ! -e "$temporary" ]; then
        (umask "$6"; set -C; : >"$temporary") || return 66
        if [ -n "$4$5" ]; then
            chown -- "$4${5:+:$5}" "$temporary" && chown "$(id -u):$(id -g)" "$temporary" || {
                rm -f "$temporary"
                return 1
            }
        fi
    fi
fi
printf '%s\0%s' "$temporary" "$size"
"""
)

# $3 is how many bytes there are, $4 their checksum or nothing, $5 whether to do without if there
# is no program for it; $6 is the mode, $7 the owner, $8 the group, $9 the time. ${10} is the stamp
# of the file when it had this checksum, if that is known.
_FINISH = (
    _RESOLVE
    + SUM
    + r"""
checked=
if [ -n "${10}" ] && [ "$("""
    + STAMP
    + r""")" = "${10}" ]; then
    checked=sha256
elif [ -n "$4" ]; then
    if command -v sha256sum >/dev/null; then
        sum=$(sha256 "$temporary" "$3") || return
        checked=sha256
        [ "${sum%% *}" = "$4" ] || return 65
    elif [ -z "$5" ]; then
        return 69
    fi
fi
[ "$(stat -c %s "$temporary")" = "$3" ] || return 65
mode=$6
if [ -n "$2" ]; then
    if [ -e "$target" ]; then
        kept=$(stat -c %u:%g "$target") || return
        [ "$kept" = "$(stat -c %u:%g "$temporary")" ] || chown "$kept" "$temporary" || return
        mode=${mode:-$(stat -c %a "$target")}
    fi
    mode=${mode:-644}
fi
[ -z "$7$8" ] || chown -- "$7${8:+:$8}" "$temporary" || return
[ -z "$mode" ] || chmod -- "$mode" "$temporary" || return
[ -z "$9" ] || TZ=UTC0 touch -t "$9" "$temporary" || return
sync "$temporary" || return
if [ -n "$2" ]; then
    [ ! -d "$target" ] || { echo "$1: Is a directory" >&2; return 1; }
    mv -f "$temporary" "$target" || return
    sync "${target%/*}/" || return
fi
printf %s "$checked"
"""
)

# The checksum of the first $3 bytes, in hexadecimal.
_PREFIX = (
    _RESOLVE
    + SUM
    + r"""
command -v sha256sum >/dev/null || return 69
if [ "$(stat -c %s "$temporary")" = "$3" ]; then
    sha256 "$temporary" "$3"
else
    head -c "$3" "$temporary" | sha256sum
fi
"""
)

# Twice, because a script that the agent was asked for before may be at work still.
_REMOVE = (
    _RESOLVE
    + r"""
rm -f "$temporary"
sleep 1
rm -f "$temporary"
"""
)


class Place:
    """Where a file is to be in the guest.

    Args:
        path: its full path.
        beside: write beside it first.
        resume: continue with what an earlier attempt has left there, and leave what is there if
            this one breaks.
    """

    def __init__(self, path: bytes, *, beside: bool, resume: bool) -> None:
        self.path = path
        self.beside = beside
        self.resume = resume
        self._name = moving.beside(path.rpartition(b"/")[2], resume=resume) if beside else ""

    def prepare(self, mode: str, owner: str, group: str) -> Flow[tuple[bytes, int]]:
        """Make the file to write to; return its path and how much it holds already."""
        umask = "077" if self.beside or mode else "022"
        try:
            done = yield from run(
                *(_PREPARE, self.path, self._name, "resume" if self.resume else ""),
                *(owner, group, umask),
            )
        except CommandDisabled as error:
            error.add_note(
                "with atomic=False, and neither mode nor owner, guest-exec is not needed"
            )
            raise
        if done.code == NO_PLACE and self.beside:
            try:
                fail(f"make a file beside {told(self.path)} to begin with", done)
            except GuestOSError as error:
                error.add_note("atomic=False writes to the file itself")
                raise
        if done.code:
            fail(f"write {told(self.path)}", done)
        path, _, size = done.out.rpartition(b"\0")
        return path, int(size)

    def prefix(self, count: int) -> Flow[str | None]:
        """The checksum of the first *count* bytes that are there; None if none can be had."""
        done = yield from run(_PREFIX, self.path, self._name, str(count))
        return checksum(f"read {told(self.path)}", done)

    def unchanged(self, stamp: bytes) -> Flow[bool]:
        """Whether the file that is there now has the *stamp*."""
        done = yield from run(_RESOLVE + STAMP, self.path, self._name)
        return not done.code and done.out.strip() == stamp

    def finish(
        self,
        size: int,
        digest: str,
        attributes: tuple[str, str, str, str],
        *,
        must: bool,
        stamp: bytes = b"",
    ) -> Flow[bool]:
        """Check the file, give it its attributes, and put it in its place.

        Args:
            size: how many bytes it has.
            digest: its checksum; "" for none.
            attributes: mode, owner, group and time, "" for those that nobody has asked for.
            must: fail if the guest cannot make a checksum.
            stamp: of the file when it had this checksum; b"" to have one made.

        Returns: whether the checksum was compared.
        """
        done = yield from run(
            _FINISH,
            *(self.path, self._name, str(size), digest, "" if must else "may"),
            *(*attributes, stamp),
        )
        what = f"write {told(self.path)}"
        if done.code == MISMATCH:
            raise QgaError(f"cannot {what}: what arrived is not what was sent")
        if done.code == UNCHECKED:
            raise Unsupported(f"cannot verify {told(self.path)}: the guest has no sha256sum")
        if done.code:
            fail(what, done)
        return done.out == b"sha256"

    def remove(self, error: BaseException) -> Flow[None]:
        """Remove what is beside the place, after *error*."""
        if not self.beside:
            return
        if isinstance(error, CommandError) or type(error) in (QgaError, Unsupported):
            try:
                yield from run(f'{_RESOLVE}\nrm -f "$temporary"', self.path, self._name)
                return
            except QgaError:
                pass  # the first error is the one to tell
        yield later(_REMOVE, self.path, self._name)


def checksum(what: str, done: Output) -> str | None:
    """What a script that calls sha256sum has printed; None if there is no such program."""
    if done.code == UNCHECKED:
        return None
    if done.code:
        fail(what, done)
    return done.out[:64].decode("ascii", "replace")
