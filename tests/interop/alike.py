"""Judges pairs of answers that are not listed one by one. Used by `randomly`.

A request that nobody has thought of may show a difference of which `differences` tells the reason;
which one that can be is told here from the request and the two answers.
"""

import json
import math
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

ONE_MISTAKE = "One mistake, one error"
FIRST_MISTAKE = "The first of several mistakes"
CHECKED_FIRST = "Arguments are checked before they are used"
ZERO = "A zero with an exponent"
AT_THE_END = "Numbers are read when the message is there"

_INT64, _UINT64 = 1 << 63, 1 << 64
# What qemu-ga writes for infinity.
_INFINITE = re.compile(r"(?<=[\[ :])(-?)inf(?=[\],}])")
_ZERO_WITH_EXPONENT = re.compile(rb"(?<![\d.eE])0[eE]")
_BAD_NUMBER = re.compile(r"JSON parse error, stray '[-0-9]")
_REASON = ": the command is not allowed"


def difference(sent: bytes, stock: Sequence[str], ours: Sequence[str]) -> str | None:
    """The title of the difference between the answers to *sent*: "" if there is none.

    None: there is one that nothing explains.
    """
    stock = [_plain(reply) for reply in stock]
    ours = [_plain(reply) for reply in ours]
    if stock == ours:
        return ""
    title = None
    for mine, other in zip_longest(stock, ours, fillvalue=""):
        if mine != other:
            title = _of_one(_desc(mine), _desc(other))
            break
    if _ZERO_WITH_EXPONENT.search(sent) and any("JSON parse error" in reply for reply in stock):
        return title or ZERO
    if title is None and _broken_off(stock, ours):
        return ONE_MISTAKE
    return title


def _of_one(stock: str, ours: str) -> str | None:
    """The reason why one error is *stock* and the other *ours*."""
    members = "QMP input member"
    if (stock.startswith(members) and ours.startswith(members)) or (
        stock.endswith("is unexpected") and ours.endswith("is unexpected")
    ):
        return FIRST_MISTAKE
    if ours.startswith("Base64 data") and stock.startswith(
        ("handle '", "value '", "Parameter '", "Invalid parameter type for 'count'")
    ):
        return CHECKED_FIRST
    if not ours and _BAD_NUMBER.match(stock):
        return AT_THE_END
    stray = "JSON parse error, stray"
    # Where the broken token begins may be seen otherwise.
    return ONE_MISTAKE if stock.startswith(stray) and ours.startswith(stray) else None


def _broken_off(stock: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether both agree up to an error after which qemu-ga goes on with remains.

    That is an error of the lexer, or a word that stands outside of a message: of such words in a
    row only the first is reported here.
    """
    if returned(stock) != returned(ours):
        return False
    for mine, other in zip(stock, ours, strict=False):
        if mine != other:
            break
        if "stray" in mine:
            return True
    return len(ours) < len(stock) and any(
        "keyword" in reply or "must be a JSON object" in reply for reply in stock
    )


def returned(replies: Sequence[str]) -> list[str]:
    """Those of *replies* that are no errors."""
    return [_plain(reply) for reply in replies if not _desc(reply)]


def _plain(reply: str) -> str:
    """*reply* with what listed differences change, a number's spelling and a reason, removed."""
    try:
        value = json.loads(
            _INFINITE.sub(r"\g<1>1e999", reply.removeprefix("0xFF ")), parse_int=_number
        )
    except (ValueError, RecursionError):
        return reply
    if isinstance(value, dict):
        error, result = value.get("error"), value.get("return")
        if isinstance(error, dict) and str(error.get("desc")).endswith(_REASON):
            error["desc"] = error["desc"].removesuffix(_REASON)
        if isinstance(result, dict) and "supported_commands" in result:
            value["return"] = "what guest-info lists"
    mark = "0xFF " if reply.startswith("0xFF ") else ""
    return mark + json.dumps(_spelled(value), sort_keys=True, ensure_ascii=False)


def _number(digits: str) -> float:
    number = int(digits)
    return number if -_INT64 <= number < _UINT64 else float(digits)


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def _desc(reply: str) -> str:
    """The text of an error; empty for what is none."""
    if not reply:
        return ""
    try:
        error = json.loads(reply.removeprefix("0xFF ")).get("error")
    except ValueError:
        found = re.search(r'"desc": "(.*?)"\}', reply)
        return found[1] if found else ""
    return str(error.get("desc")) if isinstance(error, dict) else ""
