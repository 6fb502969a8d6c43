"""`qga call` and `qga schema`: any command of the protocol, and the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qga import errors
from qga.protocol import codec

from . import arguments
from .options import Settings, leading_target, output_option, with_settings
from .output import Shown, structured, table_of

if TYPE_CHECKING:
    from .output import Look


@click.command(
    short_help="Have the agent execute any command.",
    epilog="""\b
Examples:
  qga call web guest-get-host-name
  qga call web guest-file-open path=/etc/hosts mode=r
  qga call web guest-file-write handle=1000 buf-b64=@notes.txt
  qga call web guest-network-get-interfaces -o json
""",
)
@click.option("--no-reply", is_flag=True, help="The command is silent when it succeeds.")
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] COMMAND [NAME=VALUE]...")
def call(settings: Settings, words: tuple[str, ...], *, no_reply: bool) -> Shown:
    """Have the agent execute any command, as guest-file-open path=/etc/hosts.

    Values are taken as the command declares them. Data is given as text, or as a file with @FILE
    (@- is standard input, @@ a text that begins with @). NAME:=JSON gives raw JSON. Arguments that
    qga does not know are sent as text.
    """
    target, rest = leading_target(words)
    if not rest:
        raise click.UsageError("which command? `qga commands` lists what the agent has")
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
    return Shown(value, table_of(value))


def _decoded(name: str, kind: object, reply: object) -> object:
    try:
        return codec.reader(kind)(reply)
    except codec.Mismatch as mismatch:
        raise errors.ProtocolError(f"{name}: the result is wrong: {mismatch}") from None


@click.command(
    epilog="""\b
Examples:
  qga schema
  qga schema --format jsonschema > qga.json
""",
)
@output_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["qapi", "jsonschema"]),
    default="qapi",
    show_default=True,
    help="QAPI as in QEMU's sources, or JSON Schema.",
)
def schema(look: Look, form: str) -> None:
    """Print the protocol, as this package declares it. With -o json it is JSON Schema."""
    from qga.protocol import export

    if form == "qapi" and not look.structured:
        print(export.qapi_schema().rstrip("\n"))
    else:
        print(structured(export.json_schema(), look.form if look.structured else "json"))
