"""What an agent's error reply says, as an exception: in the form of any version.

Used by `handshake`, and by the ways to an agent that hold its conversation themselves.
"""

from errno import errorcode
from os import strerror

from qga.errors import (
    AgentFrozen,
    BadArgument,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    GuestOSError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Texts for the classes of agents before 1.2, which sent data to make a text of instead of a text.
_LEGACY_TEXTS = {
    "CommandNotFound": "The command {name} has not been found",
    "CommandDisabled": "The command {name} has been disabled",
    "FdNotFound": "handle '{name}' has not been found",
    "InvalidParameter": "Invalid parameter '{name}'",
    "InvalidParameterType": "Invalid parameter type for '{name}', expected: {expected}",
    "InvalidParameterValue": "Parameter '{name}' expects {expected}",
    "JSONParsing": "JSON parse error",
    "MissingParameter": "Parameter '{name}' is missing",
    "OpenFileFailed": "failed to open file '{filename}'",
    "QgaCommandFailed": "{message}",
    "QMPBadInputObject": "QMP input lacks member '{expected}'",
    "QMPBadInputObjectMember": "QMP input member '{member}' must be of type {expected}",
    "QMPExtraInputMember": "QMP input member '{member}' is unexpected",
    "Unsupported": "this feature or command is not currently supported",
}
_BAD_ARGUMENT_CLASSES = frozenset(
    (
        "FdNotFound",
        "InvalidParameter",
        "InvalidParameterType",
        "InvalidParameterValue",
        "MissingParameter",
    )
)
_BAD_ARGUMENT_STARTS = (
    "Parameter '",
    "Invalid parameter",
    "Base64 data ",
    "invalid file open mode",
    "invalid whence",
    "mode is invalid",
)


def refusal(error: "Any") -> CommandError:
    """The exception for the `error` member of a reply, in the form of any version."""
    if type(error) is not dict:
        return CommandError("the agent answered with an error that says nothing")
    name = str(error.get("class", "GenericError"))
    data = error.get("data")
    legacy = (name, data) if isinstance(data, dict) else None
    desc = error.get("desc")
    if not isinstance(desc, str):
        desc = _describe(name, data if isinstance(data, dict) else {})
    made = _classify(name, desc, legacy)
    if name in ("GenericError", "CommandNotFound"):
        made.error_class = name
    return made


def _classify(name: str, desc: str, legacy: "Any") -> CommandError:
    # `handle '7' has not been found` is a GenericError: the text alone does not tell.
    if name in ("CommandNotFound", "CommandDisabled"):
        if "frozen" in desc:
            return AgentFrozen(desc, legacy)
        if name == "CommandDisabled" or "has been disabled" in desc:
            return CommandDisabled(desc, legacy)
        return CommandNotFound(desc, legacy)
    if (
        name in _BAD_ARGUMENT_CLASSES
        or desc.startswith(_BAD_ARGUMENT_STARTS)
        or " is invalid for argument " in desc
        or (desc.startswith("handle '") and desc.endswith("' has not been found"))
    ):
        return BadArgument(desc, legacy)
    number = _errno(desc)
    if number is not None or name == "OpenFileFailed":
        return GuestOSError(desc, number, legacy)
    return CommandError(desc, legacy)


def _errno(desc: str) -> "int | None":
    """The errno whose text *desc* ends with. Agents never translate these texts.

    Of a program that could not be started it stands in parentheses, and maybe in quotes.
    """
    if not _errnos:
        # Of two names for one text the first number counts, as in the system's own table.
        _errnos.update((strerror(number), number) for number in sorted(errorcode, reverse=True))
    text = desc.rstrip()
    found = _errnos.get(text.rpartition(": ")[2])
    if found is None and text.endswith((")", ")'")):
        found = _errnos.get(text.rstrip("'")[:-1].rpartition("(")[2])
    return found


_errnos: "dict[str, int]" = {}


def _describe(name: str, data: "dict[str, Any]") -> str:
    template = _LEGACY_TEXTS.get(name)
    if template is not None:
        try:
            return template.format_map(data)
        except (KeyError, ValueError):
            pass
    members = ", ".join(f"{key}: {value}" for key, value in data.items())
    return f"{name} ({members})" if members else name


def concerns(error: "Any", command: str) -> bool:
    """Whether *error* says that *command* is not known or not allowed."""
    if type(error) is not dict or error.get("class") not in ("CommandNotFound", "CommandDisabled"):
        return False
    data = error.get("data")
    if isinstance(data, dict):
        return bool(data.get("name") == command)
    return command in str(error.get("desc")).replace(":", " ").split()
