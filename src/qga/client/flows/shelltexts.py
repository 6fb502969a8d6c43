"""What runs in the guest for a terminal, as texts for its shell. For `shell`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .script import SHELL, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .script import GuestPath

# Which program can hold a terminal, and whether it tells how the terminal's program ended. Python
# without its whole library is no such program; where that is in its usual place it need not be
# started to know.
FIND = r"""
python=$(readlink -f "$(command -v python3)")
for file in "${python%/bin/*}"/lib*/"${python##*/}"/pty.py; do
    if [ -n "$python" ] && [ -e "$file" ]; then echo python3; exit; fi
done
if python3 -I -S -c 'import pty, select' >/dev/null 2>&1; then echo python3
elif script --help 2>&1 | grep -q -e '-e[], ]'; then echo script -e
elif command -v script >/dev/null; then echo script
fi
"""

# %: rows, columns, what is exported and the directory. IUTF8 is for the erase key.
_FIRST = b"""{
stty sane
stty iutf8
stty rows %d cols %d
entry=$(getent passwd "$(id -u)" || grep "^$(id -un):" /etc/passwd)
} 2>/dev/null
IFS=: read -r user _ _ _ _ home shell <<.
$entry
.
if [ -z "$LANG$LC_ALL" ]; then
LANG=$(sed -n 's/^LANG=//p' /etc/locale.conf /etc/default/locale 2>/dev/null | tr -d "\\"'")
export LANG="${LANG:-C.UTF-8}"
fi
[ -x "$shell" ] || shell=/bin/sh
printf '%%s %%s\\n' "$(tty)" $$
%s%s
known() {
    [ -e "$HOME/.terminfo/${1%%"${1#?}"}/$1" ] && return
    for place in /etc /lib /usr/lib /usr/share; do
        [ -e "$place/terminfo/${1%%"${1#?}"}/$1" ] && return
    done
    false
}
if known xterm-256color && ! known "$TERM"; then TERM=xterm-256color; fi
"""

# For a `script` that does not tell how the program ended: what is done in the terminal is $1, and
# what the program came to goes through another pipe. Whoever interrupts the program does not mean
# the shell above it.
TELLING = """exec 4>&1
code=$({ script -qfc "$1" /dev/null >&4 4>&-; } 3>&1)
exit ${code:-129}
"""
TOLD = b"""trap : INT QUIT
%s 3>&- 4>&-
echo $? >&3
"""

# Arguments: the program's process id, the terminal, rows, columns.
RESIZE = '[ -d "/proc/$1" ] && stty rows "$3" cols "$4" <"$2"'

# Arguments: the process id of the terminal's first program, by which its session is named, and for
# how many rounds of 50 ms to wait for its end.
HANG_UP = """members() {
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        set -- ${line%% *} ${line##*) }
        [ "$5" != "$leader" ] || [ "$2" = Z ] || echo "$1"
    done
}
leader=$1 rounds=$2
kill -HUP $(members)
kill -CONT $(members)
while [ "$rounds" -gt 0 ] && kill -0 "-$leader"; do
    rounds=$((rounds - 1))
    sleep 0.05 || sleep 1
done
kill -KILL "-$leader"
"""


def program_words(command: Sequence[GuestPath] | str | bytes | None) -> bytes:
    """The program as words of a shell's text."""
    if command is None:
        return b'"$shell" -l'
    if isinstance(command, str | bytes):
        command = [SHELL, "-c", command]
    if not command:
        raise ValueError("there is no program to start")
    return b" ".join(map(quote, command))


def beginning(
    env: Mapping[str, str | bytes], cwd: GuestPath | None, size: tuple[int, int], term: str
) -> bytes:
    """What is done in the terminal before the program is there."""
    values = {"USER": b"$user", "LOGNAME": b"$user", "HOME": b'"${home:-/}"', "SHELL": b"$shell"}
    values["TERM"] = quote(term)
    values |= {name: quote(env[name]) for name in values if name in env}
    exports = b"".join(b"export %s=%s\n" % (name.encode(), values[name]) for name in values)
    return _FIRST % (*size, exports, b'cd "$HOME"' if cwd is None else b"")
