"""What the guest's shell does with files for us. Output and input are base64, which any text holds.

For a POSIX shell with coreutils or busybox. `dd bs=1 count=0` moves the position of an open file.
"""

# $1 is the file, $2 the offset, $3 the most bytes.
READ = """export LC_ALL=C
e=$(dd if="$1" bs=1 count=0 2>&1 >/dev/null) || { printf '%s\\n' "$e" >&2; exit 1; }
if [ -d "$1" ]; then echo "$1: Is a directory" >&2; exit 1; fi
exec <"$1" || exit
if [ "$2" != 0 ]; then dd bs=1 skip="$2" count=0 >/dev/null 2>&1 || [ ! -f "$1" ] || exit 0; fi
head -c "$3" | base64"""

# $1 is the file, $2 the mode. A FIFO is left alone: opening it may have to wait.
OPEN = """export LC_ALL=C
if [ -p "$1" ]; then exit 0; fi
c=
case $2 in
r+) [ -e "$1" ] || { echo "$1: No such file or directory" >&2; exit 1; }; c=conv=notrunc ;;
a*) c=conv=notrunc ;;
esac
e=$(dd if=/dev/null of="$1" bs=1 count=0 $c 2>&1) || { printf '%s\\n' "$e" >&2; exit 1; }"""

# $1 is the file, $2 the offset, empty to append; the rest is the data, or else it is the input.
WRITE = """export LC_ALL=C
if [ -z "$2" ]; then exec >>"$1" || exit
else
exec 1<>"$1" || exit
if [ -f "$1" ] && [ "$2" != 0 ]; then
dd bs=1 seek="$2" count=0 conv=notrunc </dev/null 2>/dev/null || exit
fi
fi
if [ $# = 2 ]; then base64 -d; else shift 2; printf %s "$@" | base64 -d; fi"""

# $1 is the file.
SIZE = 'export LC_ALL=C; stat -L -c %s "$1"'
