"""The commands of `qga`, except those that move files (`transfer`) or freeze (`freezing`)."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from qga import errors
from qga._version import VERSION
from qga.client.deadline import TIMEOUT
from qga.client.listing import targets as list_targets
from qga.protocol import codec

from . import arguments, ending, freezing, output, quick, reference, transfer
from .options import Settings, leading_target, output_option, target_argument, with_settings

if TYPE_CHECKING:
    from qga.client import Target

EPILOG = """\
\b
TARGET is one of
  unix:/path/to/socket   vsock:CID:PORT   serial:/dev/pts/N
  tcp:HOST:PORT          fd:N             libvirt:DOMAIN
  libvirt+URI?domain=DOMAIN, as libvirt+qemu+ssh://host/system?domain=web
  pve:NODE/VMID          pve://HOST/NODE/VMID, at a Proxmox VE
  a name from ~/.config/qga/targets.toml
and may be left out when QGA_TARGET is set.

\b
A file of the guest is TARGET:PATH; PATH is what follows the last ":/", with the
slash. With QGA_TARGET set it is :PATH, everything after the colon.

\b
Exit codes: 0 done, 1 the agent answered with an error, 2 wrong usage,
3 agent not reached or no answer in time, 4 a file of this machine failed.
`qga freeze` passes on that of its command.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(VERSION, message=quick.version())
def cli() -> None:
    """Talk to the guest agent of a virtual machine: qemu-ga, or the one of this package."""


@cli.command()
@with_settings
@target_argument
def ping(settings: Settings, target: Target) -> None:
    """See whether the agent answers, and how fast."""
    milliseconds = quick.milliseconds(target, settings.timeout)
    if settings.json:
        output.show_json({"target": str(target), "milliseconds": milliseconds})
    else:
        print(quick.answered(target, milliseconds))


@cli.command()
@with_settings
@target_argument
def info(settings: Settings, target: Target) -> None:
    """Show the agent's version and its commands."""
    with settings.connect(target) as client:
        found = client.info()
    if settings.json:
        output.show_json(codec.encode(found))
        return
    print(f"version {ending.printable(found.version)}")
    commands = sorted(found.supported_commands, key=lambda command: command.name)
    if commands:
        print()
        output.show_table(
            ["command", "enabled", "replies"],
            [
                [
                    command.name,
                    "yes" if command.enabled else "no",
                    "always" if command.success_response else "errors only",
                ]
                for command in commands
            ],
        )


@cli.command()
@with_settings
@target_argument
def status(settings: Settings, target: Target) -> None:
    """Show whether the guest's file systems are frozen."""
    with settings.connect(target) as client:
        state = client.fsfreeze_status()
    if settings.json:
        output.show_json({"status": state})
    else:
        print(ending.printable(state))


@cli.command(short_help="Thaw the guest's file systems.")
@with_settings
@target_argument
def thaw(settings: Settings, target: Target) -> None:
    """Thaw the guest's file systems, trying again until the agent confirms it."""
    with settings.connect(target) as client:
        count = client.thaw()
    if settings.json:
        output.show_json({"thawed": count})
    else:
        print(f"{output.counted(count, 'file system')} thawed")


@cli.command()
@click.option(
    "--mode",
    type=click.Choice(["powerdown", "halt", "reboot"]),
    default="powerdown",
    show_default=True,
    help="What is to happen.",
)
@with_settings
@target_argument
def shutdown(settings: Settings, target: Target, mode: str) -> None:
    """Begin a shutdown of the guest.

    The agent is silent when it could begin one: qga waits 3 seconds for an error.
    """
    with settings.connect(target) as client:
        client.shutdown(mode)
    if settings.json:
        output.show_json({"mode": mode, "refused": False})
    else:
        print(f"{mode}: the agent did not refuse; the guest goes down if it can")


@cli.command(short_help="Have the agent execute any command.")
@click.option("--no-reply", is_flag=True, help="The command is silent when it succeeds.")
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] COMMAND [NAME=VALUE]...")
def call(settings: Settings, words: tuple[str, ...], *, no_reply: bool) -> None:
    """Have the agent execute any command, as guest-file-open path=/etc/hosts.

    Values are taken as the command declares them. Data is given as text, or as a file with @FILE
    (@- is standard input, @@ a text that begins with @). NAME:=JSON gives raw JSON. Arguments that
    qga does not know are sent as text.
    """
    target, rest = leading_target(words)
    if not rest:
        raise click.UsageError("which command? `qga info` lists what the agent has")
    name = rest[0]
    if "=" in name or ":" in name:
        raise click.UsageError(f"{name!r} is not a command; first the target, then the command")
    known = arguments.find_command(name)
    given = arguments.parse(known, rest[1:])
    silent = no_reply or (known is not None and not known.SUCCESS_RESPONSE)
    with settings.connect(target) as client:
        reply = client.call(name, given, silent=silent, raw=known is not None)
    if known is None:
        value = {} if reply is None else reply
    else:
        value = codec.encode(_decoded(name, known.result(), reply))
        if value is None:
            value = {}
    if settings.json:
        output.show_json(value)
    else:
        output.show_value(value)


def _decoded(name: str, kind: object, reply: object) -> object:
    try:
        return codec.reader(kind)(reply)
    except codec.Mismatch as mismatch:
        raise errors.ProtocolError(f"{name}: the result is wrong: {mismatch}") from None


@cli.command(short_help="Show which targets there are.")
@with_settings
@click.argument("place", required=False)
def targets(settings: Settings, place: str | None) -> None:
    """Show which targets there are.

    PLACE is libvirt: or libvirt+URI, as libvirt+qemu:///system, for the running domains there,
    pve: or pve://HOST for the running virtual machines of a Proxmox VE cluster;
    without one the names in targets files are shown.
    """
    found = list_targets(place, timeout=TIMEOUT if settings.timeout is None else settings.timeout)
    if settings.json:
        output.show_json([asdict(known) for known in found])
    elif found:
        output.show_table(
            ["name", "agent", "target"],
            [[known.name, known.agent or "", known.target] for known in found],
        )


@cli.command()
@output_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["qapi", "jsonschema"]),
    default="qapi",
    show_default=True,
    help="QAPI as in QEMU's sources, or JSON Schema.",
)
def schema(output: str, form: str) -> None:
    """Print the protocol, as this package declares it. With -o json it is JSON Schema."""
    from qga.protocol import export

    if form == "qapi" and output != "json":
        print(export.qapi_schema().rstrip("\n"))
    else:
        from .output import show_json

        show_json(export.json_schema())


cli.add_command(transfer.cat)
cli.add_command(transfer.cp)
cli.add_command(freezing.freeze)
cli.add_command(reference.show_help)


def run(words: list[str] | None = None) -> int:
    """Run the command line *words* (those of this process by default); return the exit code."""
    given = words or sys.argv[1:] or ["--help"]
    try:
        return ending.code_of(lambda: cli.main(given, prog_name="qga", standalone_mode=False))
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context else "qga"
        message = error.format_message().rstrip(".")
        return ending.tell(f"{message}; see `{command} --help`", ending.USAGE)
    except click.Abort:
        return ending.INTERRUPTED
    except freezing.NotDone as failure:
        return ending.complain(failure.cause, freezing.FAILED)
