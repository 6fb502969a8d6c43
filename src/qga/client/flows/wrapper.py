"""What runs in the guest around a program of `process`: texts for its shell.

`STARTER` is started by guest-exec, makes the spool and becomes the program: the agent knows how
that ends, exactly. `KEEPER` runs beside it in a session of its own with everything else there is:
a pump for each output, the feeder of the input, and what removes the spool in the end. `PROGRAM`
are the last steps of the starter, done as the user that the program is for. `ABORT` gives up a
program whose start was interrupted.

The spool is a directory that is in memory, where the guest has one:

    start       what came of the start: ok, or an error's name
    s/ctl       a FIFO, of orders to the keeper, each a line
    s/born      when the program was started, as the kernel tells it
    s/o, s/e    FIFOs, the program's outputs; the pump copies each to
    s/o.0 ...   segments, of which some are there at a time; all but the last have been ended
    s/o.log     a line for each segment that was begun, and at last "end", "full" or "lost"
    s/o.ack     a FIFO, of the numbers of segments that the client has read
    s/i         a FIFO, the program's input, which the feeder fills from
    s/i.0 ...   slots that the client writes in turn
    s/i.ctl     a FIFO, of the numbers of pieces and their lengths, and at last "end"
    s/i.log     a dot for each piece that the program was given; an x when it takes no more

No end of a FIFO is the agent's that could make it wait: it writes lines that are few, to readers
that are there.
"""

from __future__ import annotations

from .script import SHELL

# Where spools are made: the first place that takes one.
PLACES = ("/dev/shm", "/run", "/tmp")  # noqa: S108 - of a name that cannot be guessed

# A pump ends a segment after so many reads of so many bytes each, and has so many at a time that
# have not been read. Whatever a read gives is passed on at once.
READ_SIZE, READS, SEGMENTS = 8192, 512, 3
# Slots of the program's input.
SLOTS = 4
# After so many periods without a sign of life the client is given up.
PERIODS = 4
# The starter's exit code where no spool could be made.
NO_SPOOL = 125


def _filled(text: str, **values: object) -> str:
    """*text* with the values in place of their names between at signs."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


# Arguments: the spool's name, seconds of a period, input, output and error (p for a pipe, n for
# none, o for where the output goes), the user, the keeper's text, the program's text, and then
# what the program's text takes after the first two.
STARTER = _filled(
    r"""
qga_path=$PATH
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
qga_fifos=ctl
[ "$3" = p ] && qga_fifos="$qga_fifos i i.ctl"
[ "$4" = p ] && qga_fifos="$qga_fifos o o.ack"
[ "$5" = p ] && qga_fifos="$qga_fifos e e.ack"
for qga_place in @places@ none; do
  qga_spool=$qga_place/qga-$1
  (
    umask 077
    mkdir "$qga_spool" "$qga_spool/s" && cd "$qga_spool/s" && : >../start || exit
    [ "$3" = n ] || : >i.log
    [ "$4" = n ] || : >o.0 >o.log
    [ "$5" != p ] || : >e.0 >e.log
    exec mkfifo $qga_fifos
  ) && break
done
[ "$qga_place" != none ] || exit @no_spool@
# Open before the client can know of them: a FIFO that everybody has closed forgets what it held.
exec 8<>"$qga_spool/s/ctl"
[ "$3" != p ] || exec 9<>"$qga_spool/s/i.ctl"
# Its parent has ended: the program has no children that it does not know.
(export PATH LC_ALL=C
setsid @shell@ -c "$7" qga-keeper "$qga_spool" $$ "$2" "$3" "$4" "$5" >/dev/null &)
exec 8<&- 9<&-
[ "$3" = n ] || exec 0<"$qga_spool/s/i"
[ "$4" = n ] || exec 1>"$qga_spool/s/o"
case $5 in
p) exec 2>"$qga_spool/s/e" ;;
o) exec 2>&1 ;;
esac
qga_user=$6 qga_program=$8
shift 8
set -- "$qga_spool/start" "$qga_path" "$@"
[ -n "$qga_user" ] || eval "$qga_program"
qga_refuse() {
  echo "$1" >"$qga_spool/start"
  exit 127
}
qga_uid=$(id -u "$qga_user" 2>/dev/null) || qga_refuse NOUSER
[ "$qga_uid" != "$(id -u)" ] || eval "$qga_program"
[ "$(id -u)" = 0 ] || qga_refuse NOTROOT
qga_user=$(id -un "$qga_user")
qga_home=$(eval "echo ~$qga_user")
export HOME="$qga_home" USER="$qga_user" LOGNAME="$qga_user"
chown "$qga_uid" "$qga_spool/start" && chmod 711 "$qga_spool"
if setpriv --reuid 0 --clear-groups true 2>/dev/null; then
  exec setpriv --reuid "$qga_uid" --regid "$(id -g "$qga_user")" --init-groups \
    @shell@ -c "$qga_program" qga-start "$@"
fi
for qga_python in python3 python; do
  command -v $qga_python >/dev/null || continue
  exec $qga_python -c '
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.initgroups(user.pw_name, user.pw_gid)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[2], sys.argv[2:])' "$qga_user" @shell@ -c "$qga_program" qga-start "$@"
done
# Others than busybox's stay in between, and the program's end would not be known exactly.
case $(su --help 2>&1) in
*BusyBox*) exec su -p -s @shell@ "$qga_user" -c "$qga_program" qga-start "$@" ;;
esac
qga_refuse NOSWITCH
""",
    places=" ".join(PLACES),
    no_spool=NO_SPOOL,
    shell=SHELL,
)

# Arguments: the file for what came of it, PATH, the working directory, the number of words for the
# environment, these words (with = to set, without to unset), the program and its arguments.
PROGRAM = r"""
qga_start=$1 PATH=$2 qga_cwd=$3 qga_words=$4
shift 4
qga_fail() {
  echo "$1" >"$qga_start"
  exit 127
}
if [ -n "$qga_cwd" ]; then
  unset CDPATH
  cd "$qga_cwd" 2>/dev/null || {
    [ -e "$qga_cwd" ] || qga_fail "ENOENT cwd"
    [ -d "$qga_cwd" ] || qga_fail "ENOTDIR cwd"
    qga_fail "EACCES cwd"
  }
fi
while [ "$qga_words" -gt 0 ]; do
  case $1 in
  *=*) export "$1" ;;
  *) unset "$1" ;;
  esac
  shift
  qga_words=$((qga_words - 1))
done
case $1 in
*/*) qga_found=$1 ;;
*)
  qga_found= qga_rest=${PATH:-/usr/bin:/bin}:
  while [ -n "$1" ] && [ -n "$qga_rest" ]; do
    qga_try=${qga_rest%%:*}
    qga_rest=${qga_rest#*:}
    qga_try=${qga_try:-.}/$1
    [ -f "$qga_try" ] || continue
    qga_found=$qga_try
    [ ! -x "$qga_try" ] || break
  done
  ;;
esac
[ -e "$qga_found" ] || qga_fail ENOENT
[ ! -d "$qga_found" ] || qga_fail EACCES
[ -x "$qga_found" ] || qga_fail EACCES
# Shells take a dash for an option, and look for nothing without PATH.
case ${PATH:+set}$1 in
set-* | "$1")
  shift
  set -- "$qga_found" "$@"
  ;;
esac
echo ok >"$qga_start"
# What the kernel still refuses is told like this; bash has to be kept from leaving without.
trap 'echo failed >>"$qga_start"' EXIT
shopt -s execfail 2>/dev/null
exec "$@"
exit 127
"""

# Arguments: the spool, the program's pid, and STARTER's 2 to 5. It has ctl as 8, and i.ctl as 9.
KEEPER = _filled(
    r"""# qga-keeper: of a program that a client of the guest agent runs
set -f
spool=$1 pid=$2 period=$3
cd "$spool/s" || exit
moment() {
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return
  set -- ${stat##*) }
  moment=${20}
}
pump() {
  exec 4<>"$1.ack" 5>>"$1.log"
  number=0 read=0
  while :; do
    while [ $((number - read)) -ge @segments@ ]; do
      read -r done <&4 || exit
      while [ "$read" -le "$done" ]; do
        rm -f "$1.$read"
        read=$((read + 1))
      done
    done
    exec 6>"$1.$number"
    echo "$number" >&5
    if ! dd bs=@size@ count=@reads@ >&6; then
      echo full >&5
      exit
    fi
    if [ ! -s "$1.$number" ]; then
      echo end >&5
      exit
    fi
    number=$((number + 1))
  done
}
feed() {
  exec 4<&9 5>>i.log
  next=0
  trap '' PIPE
  while read -r number length text <&4; do
    [ "$number" != end ] || exit
    [ "$number" = "$next" ] || continue
    if [ -n "$text" ]; then
      printf "$text"
    else
      dd bs="$length" count=1 <"i.$((number % @slots@))"
    fi || {
      echo x >&5
      exit
    }
    echo . >&5
    next=$((next + 1))
  done
}
exec 2>/dev/null
# The number of a group is not given away while the group has members.
hit() {
  if moment; then
    [ "$moment" = "$born" ] || return
  fi
  kill -"$1" "$2$pid"
}
finish() {
  trap '' TERM HUP INT
  kill -TERM 0
  wait
  for name in o e; do
    [ ! -f "$name.log" ] || echo lost >>"$name.log"
  done
  [ ! -f i.log ] || echo x >>i.log
  # What the agent still has open takes no memory then.
  set +f
  for name in [oei].[0-9]*; do
    [ ! -f "$name" ] || : >"$name"
  done
  cd /
  rm -rf "$spool"
  exit
}
if [ "$5" = p ]; then
  pump o <o &
  output=$!
fi
if [ "$6" = p ]; then
  pump e <e &
  error=$!
fi
[ "$4" = n ] || feed >i &
moment
born=$moment
echo "$born" >born
while sleep "$period"; do echo tick; done >&8 &
trap 'hit TERM -; finish' TERM HUP INT
quiet=0
while read -r order argument <&8; do
  case $order in
  tick)
    # Frozen guests let no client tell that it is there.
    if [ -e /run/qga.state.isfrozen ] || [ -e /var/run/qga.state.isfrozen ]; then
      quiet=0
    fi
    quiet=$((quiet + 1))
    if [ "$quiet" -gt @periods@ ]; then
      hit TERM -
      sleep 2
      hit KILL -
      finish
    fi
    ;;
  alive) quiet=0 ;;
  group) hit "$argument" - ;;
  only) hit "$argument" "" ;;
  drop)
    case $argument in
    o) kill "$output" ;;
    e) kill "$error" ;;
    esac
    ;;
  abort)
    hit KILL -
    finish
    ;;
  done) finish ;;
  esac
done
""",
    segments=SEGMENTS,
    size=READ_SIZE,
    reads=READS,
    slots=SLOTS,
    periods=PERIODS,
)

# Arguments: where the spool may be, or come to be in a moment.
ABORT = r"""
for try in 1 2 3 4 5 6 7 8 9 10; do
  for spool; do
    if [ -p "$spool/s/ctl" ]; then
      echo abort >>"$spool/s/ctl"
      exit
    fi
  done
  sleep 1
done
"""

# An order, $0, to the keepers of spools that are there; opened like this, no pipe makes it wait.
ORDER_NOW = 'for spool; do [ ! -p "$spool/s/ctl" ] || echo "$0" 1<>"$spool/s/ctl"; done'
