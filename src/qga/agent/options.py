"""The agent's command line, by getopt_long's rules: those of the program that it replaces.

Unambiguous prefixes of long options, `--name=value` and `--name value`, clusters of short options,
values attached to them, and words that are no options anywhere (they are ignored). The standard
library's parsers load more than the rest of the agent.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# An optional value has to be attached.
NONE, VALUE, OPTIONAL = 0, 1, 2

# Long name: short one, whether it takes a value.
OPTIONS = {
    "help": ("h", NONE),
    "version": ("V", NONE),
    "dump-conf": ("D", NONE),
    "config": ("c", VALUE),
    "method": ("m", VALUE),
    "path": ("p", VALUE),
    "logfile": ("l", VALUE),
    "pidfile": ("f", VALUE),
    "fsfreeze-hook": ("F", OPTIONAL),
    "statedir": ("t", VALUE),
    "verbose": ("v", NONE),
    "daemonize": ("d", NONE),
    "block-rpcs": ("b", VALUE),
    "allow-rpcs": ("a", VALUE),
    "retry-path": ("r", NONE),
    "compat": ("", VALUE),
    "fsfreeze-timeout": ("", VALUE),
}

# They do not make a prefix ambiguous that is one of a single option of upstream's.
_OURS = ("compat", "fsfreeze-timeout")

# Names that upstream has given up.
_OLD_NAMES = {"blacklist": "block-rpcs"}

HELP = """\
Usage: {program} [-m METHOD -p PATH] [OPTION...]
QEMU Guest Agent: answers the host's commands from inside of a virtual machine.

  -m, --method METHOD     how to talk to the host: virtio-serial (default), isa-serial,
                          unix-listen or vsock-listen
  -p, --path PATH         device or socket, for vsock-listen CID:PORT; default for
                          virtio-serial {virtio},
                          for isa-serial {isa}
  -r, --retry-path        open the device again, and again, when it is missing or goes away
  -a, --allow-rpcs LIST   allow only these commands (comma separated; help for a list of all)
  -b, --block-rpcs LIST   refuse these commands (comma separated; help for a list of all)
  -F, --fsfreeze-hook[=FILE]
                          run FILE with "freeze" before file systems are frozen, and with "thaw"
                          after they are thawed; default {hook}; a FILE has to
                          be attached, as in -F/path/to/hook
  -t, --statedir DIR      where to keep state; default {statedir}
  -l, --logfile FILE      append messages to FILE instead of stderr
  -v, --verbose           log more than errors
  -d, --daemonize         run in the background
  -f, --pidfile FILE      with -d, write the process number here; default {pidfile}
  -c, --config FILE       configuration file; default {config}, or $QGA_CONF
  -D, --dump-conf         print the configuration that is in effect, and exit
      --compat VERSION    speak as upstream's agent of VERSION (1.0 and later) did
      --fsfreeze-timeout SECONDS
                          thaw after SECONDS when nobody else does; default {timeout:g}
  -V, --version           print the version, and exit
  -h, --help              print this help, and exit
"""


class UsageError(Exception):
    """An option is not known, or its value is missing or not wanted."""


def parse(arguments: "Sequence[str]") -> "Iterator[tuple[str, str]]":
    """The options in *arguments*, by their long names, in order; "" where there is no value.

    Raises:
        UsageError: an option is wrong; those before it have been told.
    """
    short = {letter: name for name, (letter, _) in OPTIONS.items() if letter}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            given, equals, value = word[2:].partition("=")
            name = _long(given)
            kind = OPTIONS[name][1]
            if equals and kind == NONE:
                raise UsageError(f"option '--{name}' does not take a value")
            if not equals and kind == VALUE:
                value = _value(f"--{name}", rest)
            yield name, value
        elif word.startswith("-"):
            cluster = word[1:]
            while cluster:
                letter, cluster = cluster[0], cluster[1:]
                if letter not in short:
                    raise UsageError(f"unknown option '-{letter}'")
                name = short[letter]
                kind = OPTIONS[name][1]
                value = ""
                if kind != NONE:
                    value, cluster = cluster, ""
                if kind == VALUE and not value:
                    value = _value(f"-{letter}", rest)
                yield name, value


def _long(given: str) -> str:
    known = (*OPTIONS, *_OLD_NAMES)
    if given in known:
        return _OLD_NAMES.get(given, given)
    found = [name for name in known if name.startswith(given)]
    found = [name for name in found if name not in _OURS] or found
    names = list(dict.fromkeys(_OLD_NAMES.get(name, name) for name in found))
    if len(names) > 1:
        raise UsageError(f"option '--{given}' is ambiguous: {', '.join('--' + n for n in names)}")
    if not names:
        raise UsageError(f"unknown option '--{given}'")
    return names[0]


def _value(option: str, rest: "list[str]") -> str:
    if not rest:
        raise UsageError(f"option '{option}' needs a value")
    return rest.pop(0)
