"""Command lines and configuration files for both agents, and what their answers may differ in.

Used by `test_command_lines`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

# Of each answer. qemu-ga 7.2 does not have the last three keys, and calls itself otherwise.
_OURS = re.compile(rb"^(allow-rpcs|fsfreeze-(mount-)?timeout|compat)=.*\n", re.MULTILINE)


class Line(NamedTuple):
    """One run of an agent."""

    options: Sequence[str | bytes]
    conf: bytes | None = None
    # Why the answers differ, if they do.
    differs: str = ""


class Answer(NamedTuple):
    """What a run has left: its exit code, what it printed, whether it complained."""

    code: int
    out: bytes
    complains: bool


def comparable(code: int, out: bytes, err: bytes) -> Answer:
    """An answer without the differences that every answer has."""
    out = _OURS.sub(b"", out).replace(b"'qga-agent --help'", b"'qemu-ga --help'")
    return Answer(code, out, bool(err))


# The reasons.
HELPFUL = "help and version are there whatever the configuration file holds"
BLANKS = "blanks around the names of a list mean nothing, and a list with them is not ignored"
NEW_CODE = "exit code of the newest version"
NEWER = "not there in 7.2"
HOOKLESS = "an attached but empty name is taken for none: the default"
GIVEN_UP = "an option for Windows alone"

_DUMPED: list[Sequence[str | bytes]] = [
    [],
    ["-b", "a,b,c"],
    ["-b", "a,b,c", "-b", "d,e"],
    ["-b", "a", "--blacklist", "d,e"],
    ["--bl=a"],
    ["--b=a"],
    ["--block=a"],
    ["-b", "a,"],
    ["-b", ","],
    ["-b", ""],
    ["-F"],
    ["-F/x/y"],
    ["-F", "/x"],
    ["-vF/x"],
    ["-Fv"],
    ["-F/a", "-F"],
    ["--fsfreeze-hook"],
    ["--fsfreeze-hook=/a"],
    ["--fsfreeze-hook", "/a"],
    ["--fsf"],
    ["-m", "isa-serial"],
    ["-m", "unix-listen"],
    ["-m", "unix-listen", "-p", "x"],
    ["-m", "nonsense"],
    ["-m", "nonsense", "-p", "x"],
    ["-m", "", "-p", "x"],
    ["-p", ""],
    ["-p", " a\\b\tc"],
    ["-p", "a\nb\rc"],
    ["-p", b"caf\xe9"],
    ["-p", "café"],
    ["-p", "-v"],
    ["-p", " a "],
    ["-p", "a", "-p", "b"],
    ["-l", "log", "-t", "rel", "-f", "rel"],
    ["-l", "", "-t", "", "-f", ""],
    ["-d", "-v", "-r"],
    ["-dvr"],
    ["-rm", "isa-serial"],
    ["--daemon"],
    ["--verb", "--re", "--s", "x"],
    ["--meth=isa-serial", "--pi=x", "--pa=y", "--log=z"],
    ["-v", "--", "-d"],
    ["word", "-v", "-", ""],
    ["--"],
    # What is wrong.
    ["-x"],
    ["-?"],
    ["-vx"],
    ["--nonsense"],
    ["---v"],
    ["--p", "x"],
    ["--ver"],
    ["--d"],
    ["--=x"],
    ["--verbose=1"],
    ["--help=1"],
    ["--path"],
    ["-m"],
    ["-vm"],
    ["-x", "-h"],
]

_FILES: list[bytes] = [
    b"",
    b"\n\n  \n# comment\n",
    b"[general]\n",
    b"[general]",
    b"[general]\npath=c",
    b"   # c\n\n  \n[general]\n   # c\npath=c#x\n",
    b"[general]\ndaemon=true\nverbose=1\nretry-path=0\n",
    b"[general]\nverbose= true\t\n",
    b"[general]\nverbose=maybe\n",
    b"[general]\nverbose=True\n",
    b"[general]\nverbose=\n",
    b"[general]\nverbose=00\n",
    b"[general]\nverbose=true # not a comment\n",
    b"[general]\ndaemon=\\s1\n",
    b"[general]\ndaemonize=nonsense\n",
    b"[general]\npath=a\\sb\\tc\\\\d\\ne\\r\n",
    b"[general]\npath=\\s\\sa\n",
    b"[general]\npath=a\\qb\n",
    b"[general]\npath=abc\\\n",
    b"[general]\nother=abc\\\n",
    b"[general]\npath =  x y  \n",
    b"[general]\npath=caf\xc3\xa9\n",
    b"[general]\npath=caf\xe9\n",
    b"[general]\n# caf\xe9\npath=c\nk=caf\xe9\n",
    b"[general]\npath[de]=x\npath=y\n",
    b"[general]\npath=y\npath[de]=x\n",
    b"[general]\npath=\nlogfile=\nstatedir=\npidfile=\nfsfreeze-hook=\n",
    b"[general]\nmethod=\n",
    b"[general]\nmethod=isa-serial\n",
    b"[general]\nmethod=unix-listen\n",
    b"[general]\nmethod=unix-listen\npath=x\nlogfile=l\npidfile=p\nfsfreeze-hook=h\nstatedir=s\n",
    b"[general]\nblock-rpcs=a,b\nblock-rpcs=c,d\n",
    b"[general]\nblock-rpcs=a;b,c\n",
    b"[general]\nblock-rpcs=a\\sb,c\n",
    b"[general]\nblock-rpcs=help\n",
    b"[general]\nblock-rpcs=a,b\nblacklist=c,d\n",
    b"[general]\nblacklist=c,d\nblock-rpcs=a,b\n",
    b"[general]\nblacklist=\nblock-rpcs=a\n",
    b"[general]\nverbose=true\n[general]\nverbose=false\ndaemon=1\n",
    b"[other]\nverbose=nonsense\n[general]\npath=q\n[third]\npath=r\n",
    b"[ general ]\npath=c\n",
    b"[general] \n path=a\n",
    b"[general]\r\npath=a\r\n",
    b"[general]\na b=c\n",
    # What is no key file.
    b"nonsense\n",
    b"daemon=true\n",
    b"[general]\nnonsense\n",
    b"[general]\n;semicolon\n",
    b"[general]\n=x\n",
    b"[general]x\n",
    b"[gene]ral]\npath=a\n",
    b"[]\npath=c\n",
    b"[a\tb]\npath=c\n",
    b"\xef\xbb\xbf[general]\npath=a\n",
    b"[general]\na[=c\n",
    b"[general]\na]=c\n",
    b"[general]\na[x]y=c\n",
    b"[other]\nnonsense\n",
]

LINES = [
    *(Line(["-D", *options]) for options in _DUMPED),
    *(Line(["-D"], conf) for conf in _FILES),
    # The command line beats the file; lists add up.
    Line(["-D", "-b", "e,f"], b"[general]\nblock-rpcs=a,b\nblacklist=c,d\n"),
    Line(["-D", "-F", "-v"], b"[general]\nfsfreeze-hook=/h\nverbose=false\n"),
    Line(["-D", "-p", "x", "-m", "isa-serial"], b"[general]\npath=y\nmethod=unix-listen\n"),
    Line(["-D", "-d", "-v"], b"[general]\ndaemon=true\npath=x\n"),
    # Agents that cannot run.
    Line(["-p", "absent"]),
    Line(["-m", "nonsense", "-p", "x"]),
    Line(["-m", "unix-listen"]),
    Line(["-m", "unix-listen", "-p", "absent/x"]),
    Line(["-m", "vsock-listen", "-p", "3:abc"]),
    Line(["-m", "vsock-listen", "-p", "abc"]),
    Line(["-p", "absent"], b"nonsense"),
    # What is answered otherwise.
    Line(["-D", "-b", "a b , c"], differs=BLANKS),
    Line(["-D", "--fsfreeze-hook="], differs=HOOKLESS),
    Line(["-D", "-s", "install"], differs=GIVEN_UP),
    Line(["-D", "-a", "a,b"], differs=NEWER),
    Line(["-D", "-c", "agent.conf"], b"[general]\npath=x\n", differs=NEWER),
    Line(["-D", "--c", "absent"], differs=NEWER),
    Line(["-h"], b"nonsense", differs=HELPFUL),
    Line(["-V"], b"nonsense", differs=HELPFUL),
    Line(["-t", "absent"], differs=NEW_CODE),
    Line(["-l", "absent/log"], differs=NEW_CODE),
]
