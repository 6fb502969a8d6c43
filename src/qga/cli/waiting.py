"""`qga wait VM --for ...`: until the guest is as far as one needs it."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from qga.client.deadline import Deadline
from qga.errors import WaitTimeout

from . import ending
from .fleet import each_guest
from .options import timeout_option, unopened
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from qga.client import Client, Target
    from qga.client.facts import CloudInit

    from .options import Settings

    Seen = Callable[[str], object]

# How long it waits unless told, in seconds.
PATIENCE = 300.0

_TIMEOUT = timeout_option(f"Seconds to wait in all; {PATIENCE:g} by default, inf for ever.")
_FORMS = "ready, ip, ip=4, ip=6, command=WORDS, file=PATH, cloud-init, down"


def _conditions(
    _: click.Context, __: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, Any], ...]:
    """Each `--for` as it stands, with what follows its `=`."""
    return tuple((text, _meant(text)) for text in texts)


def _meant(text: str) -> Any:
    name, equals, rest = text.partition("=")
    if name in {"ready", "cloud-init", "down", "ip"} and not equals:
        return None
    if name == "ip" and rest in {"4", "6"}:
        return int(rest)
    if name == "file" and rest:
        return rest
    if name == "command":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise click.BadParameter(f"{rest!r}: {error}") from None
        if words:
            return words
    raise click.BadParameter(f"{text!r} is none of {_FORMS}")


@click.command(
    epilog="""\b
Examples:
  qga wait web1 --for ready
  qga wait web1 --for ip=4 --for command='systemctl is-system-running' --timeout 600
  qga wait web1 --for file=/run/ready && qga cp web1:/run/ready -
  qga wait --all --for cloud-init
  qga wait web1 --for down --for ready    # somebody reboots it
"""
)
@click.option(
    "--for",
    "conditions",
    callback=_conditions,
    multiple=True,
    required=True,
    metavar="CONDITION",
    help=f"One of {_FORMS}. Several are waited for one after the other.",
)
@lambda function: each_guest(function, timeout=_TIMEOUT)
def wait(settings: Settings, target: Target, conditions: tuple[tuple[str, Any], ...]) -> Shown:
    """Wait until the guest is as far as one needs it.

    Neither the guest nor the channel needs to be there yet. The exit code is 3 if it does not come
    in time, 1 if cloud-init is done with errors. WORDS are taken apart as a shell would, and the
    program has to end with 0; its output is the result.

    That a guest is down is certain if its machine is off. Where only nobody answers, it may also be
    the agent that is gone: the result says which it is.
    """
    deadline = Deadline(PATIENCE if settings.timeout is None else settings.timeout)
    found: list[dict[str, Any]] = []
    people: list[str] = []
    code = 0
    began = time.monotonic()
    with unopened(target) as client, _progress(settings) as show:
        for at, (text, value) in enumerate(conditions):

            def seen(said: str, text: str = text) -> None:
                show(f"{text}: {said}")

            try:
                result, told, failed = _wait(client, text, value, deadline, seen)
            except WaitTimeout as error:
                rest = ", ".join(later for later, _ in conditions[at + 1 :])
                more = f"; not looked at yet: {rest}" if rest else ""
                raise WaitTimeout(f"waited for {text}: {error.text}{more}") from error
            code = code or failed
            seconds = round(time.monotonic() - began, 1)
            found.append({"for": text, "result": result, "seconds": seconds})
            people.append(told)
    return Shown(found, "\n".join(people), code)


def _wait(
    client: Client, text: str, value: Any, deadline: Deadline, seen: Seen
) -> tuple[Any, str, int]:
    """Wait for one thing; its result for programs and for people, and the exit code."""
    left = round(deadline.remaining(), 1)
    name = text.partition("=")[0]
    if name == "ready":
        state = client.wait_ready(left, seen=seen)
        return state.word.value, f"ready: {ending.printable(state.sentence)}", 0
    if name == "ip":
        address = str(client.wait_for(address=value or True, timeout=left, seen=seen))
        return address, f"ip: {ending.printable(address)}", 0
    if name == "file":
        client.wait_for(file=value, timeout=left, seen=seen)
        return value, f"file: {ending.printable(value)}", 0
    if name == "command":
        done = client.wait_for(command=value, timeout=left, seen=seen)
        out = done.out.decode(errors="replace")
        lines = [ending.printable(line) for line in out.splitlines()]
        return out, "\n".join(["command: done", *lines]), 0
    if name == "down":
        down = client.wait_down(left, seen=seen)
        return down.value, f"down: {_DOWN[down.value]}", 0
    return _set_up(client.wait_cloud_init(left, seen=seen))


_DOWN = {
    "off": "the machine is off",
    "silent": "nobody answers any more; the channel is still there",
    "back": "it was down, and is booted again",
}


def _set_up(found: CloudInit) -> tuple[Any, str, int]:
    value = {
        "status": found.status, "errors": list(found.errors), "datasource": found.datasource,
    }  # fmt: skip
    if found.status != "done":
        return value, f"cloud-init: {ending.printable(found.status)} in this guest", 0
    if not found.errors:
        return value, "cloud-init: done", 0
    errors = "\n".join(f"  {ending.printable(error)}" for error in found.errors)
    return value, f"cloud-init: done, with errors\n{errors}", 1


def _progress(settings: Settings) -> AbstractContextManager[Seen]:
    """What shows on a terminal how it goes; for one guest, since several would overwrite it."""
    context = click.get_current_context(silent=True)  # of this thread: none where there are many
    if context is None or settings.json or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    return _Drawn(settings)


class _Drawn:
    """A line that moves, as long as the block lasts."""

    def __init__(self, settings: Settings) -> None:
        from rich.text import Text

        self._text = Text
        console = settings.look.console(stderr=True)
        self._status = console.status(Text("waiting", no_wrap=True, overflow="ellipsis"))

    def __enter__(self) -> Seen:
        self._status.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def _tell(self, said: str) -> None:
        text = self._text(ending.printable(said), no_wrap=True, overflow="ellipsis")
        self._status.update(text)
