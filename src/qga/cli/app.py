"""The commands of `qga`, by topic: where each is, and how they are run.

A command's module is loaded when the command is used, or when `qga --help` shows them all.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from qga._version import VERSION

from . import ending, quick

if TYPE_CHECKING:
    from collections.abc import Callable

# The commands by topic, in the order of the help; for each, the module and the name in it.
TOPICS: dict[str, dict[str, str]] = {
    "Agent": {
        "ping": "agent:ping",
        "status": "agent:status",
        "info": "overview:info",
        "version": "overview:version",
        "commands": "overview:commands",
        "wait": "waiting:wait",
        "time": "clock:clock",
        "call": "calling:call",
    },
    "Programs": {
        "exec": "running:execute",
        "shell": "shelling:shell",
    },
    "Files": {
        "ls": "listing:ls",
        "cat": "reading:cat",
        "head": "reading:head",
        "tail": "tailing:tail",
        "cp": "copying:cp",
        "edit": "editing:edit",
        "stat": "listing:show_stat",
        "find": "searching:find",
        "du": "space:du",
        "df": "space:df",
        "mkdir": "changing:mkdir",
        "touch": "changing:touch",
        "ln": "changing:ln",
        "mv": "changing:mv",
        "rm": "removing:rm",
        "chmod": "changing:chmod",
        "chown": "changing:chown",
    },
    "Facts": {
        "os": "facts:show_os",
        "ip": "facts:ip",
        "net": "facts:net",
        "fs": "facts:fs",
        "disks": "facts:disks",
        "users": "facts:users",
        "cpus": "machine:cpus",
        "memory": "machine:memory",
        "load": "machine:load",
        "top": "top:top",
    },
    "Freezing": {
        "freeze": "freezing:freeze",
        "thaw": "freezing:thaw",
        "snapshot": "snapshotting:snapshot",
        "trim": "trimming:trim",
    },
    "Power": {
        "shutdown": "power:shutdown",
        "reboot": "power:reboot",
        "halt": "power:halt",
        "suspend": "power:suspend",
    },
    "Users": {
        "passwd": "accounts:passwd",
        "ssh-keys": "accounts:ssh_keys",
    },
    "This machine": {
        "targets": "finding:targets",
        "doctor": "doctoring:doctor",
        "schema": "calling:schema",
        "help": "reference:show_help",
        "completion": "shells:completion",
    },
}

# What other tools call it.
ELSEWHERE = {
    "attach": "shell",
    "console": "shell",
    "copy": "cp",
    "delete": "rm",
    "dir": "ls",
    "download": "cp",
    "list": "targets",
    "poweroff": "shutdown",
    "ps": "targets",
    "pull": "cp",
    "push": "cp",
    "restart": "reboot",
    "run": "exec",
    "scp": "cp",
    "ssh": "shell",
    "upload": "cp",
}

EPILOG = """\
\b
TARGET is one of
  unix:/path/to/socket   vsock:CID:PORT   serial:/dev/pts/N
  tcp:HOST:PORT          fd:N             libvirt:DOMAIN
  libvirt+URI?domain=DOMAIN, as libvirt+qemu+ssh://host/system?domain=web
  pve:NODE/VMID          pve://HOST/NODE/VMID, at a Proxmox VE
  a name: from ~/.config/qga/targets.toml, or of a libvirt domain or a socket
  here, as `qga targets` lists them; or the path of a socket
and may be left out when QGA_TARGET is set.

\b
A file of the guest is TARGET:PATH; PATH is what follows the last ":/", with the
slash. With QGA_TARGET set it is :PATH, everything after the colon.

\b
Exit codes: 0 done, 1 the agent answered with an error, 2 wrong usage,
3 agent not reached or no answer in time, 4 a file of this machine failed,
70 a mistake in qga itself.
`qga exec`, `shell` and `freeze` pass on that of their program; 125 qga failed,
124 --timeout, 126 not executable, 127 not found, 128+N signal N ended it.

\b
`qga COMMAND --help` has examples. `qga help guest` lists the commands of the
protocol, `qga help guest-exec` tells about one, `qga help files` about a topic.
"""


class ByTopic(click.Group):
    """A group whose commands are loaded when they are needed."""

    def __init__(self, *, callback: Callable[[], object], **named: object) -> None:
        super().__init__(callback=callback, **named)  # type: ignore[arg-type]
        self.places = {name: place for topic in TOPICS.values() for name, place in topic.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        return list(self.places)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - likewise
        cmd_name: str,
    ) -> click.Command | None:
        place = self.places.get(cmd_name)
        if place is None:
            return None
        if cmd_name not in self.commands:
            module, _, name = place.partition(":")
            self.add_command(getattr(import_module(f".{module}", __package__), name), cmd_name)
        return self.commands[cmd_name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            text = f"{error.option_name!r} stands before the command: options come behind it, as in"
            raise click.UsageError(f"{text} `qga info {error.option_name} ...`", ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise click.UsageError(self._unknown(args), ctx) from None

    def _unknown(self, words: list[str]) -> str:
        """What to tell of words that do not begin with a command."""
        from difflib import get_close_matches

        name = words[0]
        close = get_close_matches(name, self.places, cutoff=0.6)
        if name in ELSEWHERE:
            close = [ELSEWHERE[name]]
        elif len(words) > 1 and words[1] in self.places:
            return f"the command comes first, then the target: qga {words[1]} {name}"
        told = f"; do you mean {' or '.join(close)}?" if close else ""
        return f"there is no command {name!r}{told}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.places))
        for topic, commands in TOPICS.items():
            with formatter.section(topic):
                rows = []
                for name in commands:
                    command = self.get_command(ctx, name)
                    if command is not None and not command.hidden:
                        limit = formatter.width - width - 4
                        rows.append((name.ljust(width), command.get_short_help_str(limit)))
                formatter.write_dl(rows)


@click.version_option(VERSION, message=quick.version())
def _qga() -> None:
    """Talk to the guest agent of a virtual machine: qemu-ga, or the one of this package."""


cli = click.command(
    "qga",
    cls=ByTopic,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)(_qga)


def run(words: list[str] | None = None) -> int:
    """Run the command line *words* (those of this process by default); return the exit code."""
    given = words or sys.argv[1:] or ["--help"]
    if given[0] == "__complete":
        from . import shells

        return ending.code_of(lambda: shells.complete(cli, given[1:]))
    own = given[: given.index("--")] if "--" in given else given
    try:
        return ending.code_of(lambda: cli.main(given, prog_name="qga", standalone_mode=False))
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context else "qga"
        message = error.format_message().rstrip(".")
        return ending.tell(f"{message}; see `{command} --help`", ending.USAGE)
    except click.Abort:
        return ending.INTERRUPTED
    except ending.Failed as failure:
        return ending.complain(failure.cause, failure.code)
    except Exception as error:  # noqa: BLE001 - told as what it is
        return ending.defect(error, debug=ending.DEBUG in own)
