"""What surrounds a command's arguments and its result: requests in, replies out.

Used by the agent; the client's side of the conversation is `handshake`. The texts are QEMU's.
"""

from _json import encode_basestring_ascii as quote

from qga.errors import CommandError

from . import text
from .blob import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# No id: the request had none (None is null, which is echoed).
NO_ID = object()

# Replies, to put a prefix before, that return nothing, an integer, and one that is written already.
DONE = b'{"return": {}}\n'
RETURNED = b'%b{"return": %d}\n'
ECHOED = b'%b{"return": %b}\n'


def check_request(message: "Any", *, ids: bool = True) -> "tuple[str, dict[str, Any]]":
    """The command's name and arguments in a request.

    Args:
        message: the decoded request.
        ids: whether an `id` is known; agents before 4.0 refused it.

    Raises:
        CommandError: *message* is not a request.
    """
    if type(message) is not dict:
        raise CommandError(
            "QMP input must be a JSON object", legacy=("QMPBadInputObject", {"expected": "object"})
        )
    name, arguments = message.get("execute"), message.get("arguments")
    if type(name) is str:  # nearly always
        if len(message) == 1:
            return name, {}
        if len(message) == 2 and type(arguments) is dict:
            return name, arguments
    name = arguments = None
    for key, value in message.items():
        if key == "execute":
            name = value.text if type(value) is Blob else value
            if type(name) is not str:
                raise _bad_member(key, "string")
        elif key == "arguments":
            if type(value) is not dict:
                raise _bad_member(key, "object")
            arguments = value
        elif key != "id" or not ids:
            raise CommandError(
                f"QMP input member '{key}' is unexpected",
                legacy=("QMPExtraInputMember", {"member": key}),
            )
    if name is None:
        raise CommandError(
            "QMP input lacks member 'execute'",
            legacy=("QMPBadInputObject", {"expected": "execute"}),
        )
    return name, {} if arguments is None else arguments


def _bad_member(name: str, expected: str) -> CommandError:
    article = "an" if expected == "object" else "a"
    return CommandError(
        f"QMP input member '{name}' must be {article} {expected}",
        legacy=("QMPBadInputObjectMember", {"member": name, "expected": expected}),
    )


def success(value: "Any", request_id: object = NO_ID, prefix: bytes = b"") -> "list[bytes]":
    """The reply that returns *value* (None: nothing), in pieces, with *prefix* before it."""
    if request_id is NO_ID:
        if value is None:
            return [prefix + DONE]
        if type(value) is int:
            return [RETURNED % (prefix, value)]
    if value is None:
        value = {}
    reply = {"return": value}
    if request_id is not NO_ID:
        reply["id"] = request_id
    pieces = text.encode(reply)
    pieces[0] = prefix + pieces[0]
    pieces[-1] += b"\n"
    return pieces


def written(value: str, request_id: object = NO_ID) -> "list[bytes]":
    """The reply that returns what *value* is the JSON text of, in ASCII."""
    reply = '{"return": ' + value
    if request_id is not NO_ID:
        reply += ', "id": ' + b"".join(text.encode(request_id)).decode("ascii")
    return [(reply + "}\n").encode("ascii")]


def failure(error: CommandError, request_id: object = NO_ID, *, legacy: bool = False) -> bytes:
    """The reply that reports *error*; *legacy* in the form of agents before 1.2."""
    if request_id is NO_ID and not legacy:
        # There may be one for each byte of garbage.
        name, desc = error.error_class, quote(_readable(error.desc))
        return f'{{"error": {{"class": "{name}", "desc": {desc}}}}}\n'.encode("ascii")
    reply: dict[str, Any] = {} if request_id is NO_ID else {"id": request_id}
    if legacy:
        name, data = error.legacy
        reply["error"] = {"class": name, "data": data}
    else:
        reply["error"] = {"class": error.error_class, "desc": _readable(error.desc)}
    return b"".join(text.encode(reply)) + b"\n"


def _readable(desc: str) -> str:
    """*desc* with U+FFFD for the bytes of a file's name that are not UTF-8, as upstream has it."""
    if desc.isascii():
        return desc
    return desc.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
