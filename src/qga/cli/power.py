"""`qga shutdown`, `reboot`, `halt` and `suspend`: the guest's going down, and its coming back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from qga.client.state import Down
from qga.client.sync import connect

from .caution import changes_guests, rehearsed
from .options import timeout_option
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client, Target

    from .options import Settings

# How long --wait waits unless told, in seconds.
PATIENCE = 300.0

_TIMEOUT = timeout_option(
    f"With --wait: seconds to wait for the guest, {PATIENCE:g} by default. Without: seconds to"
    " wait for each answer of the agent."
)

_MODES = {"powerdown": "power down", "halt": "halt", "reboot": "reboot"}
_DOWN = {
    Down.OFF: "off: its channel is closed",
    Down.SILENT: "nobody answers any more; its machine is still there",
    Down.BACK: "it was down, and is booted again",
}


def _waits(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--wait", is_flag=True, help=f"Wait until the guest {what}.")


@click.command(
    epilog="""\b
Examples:
  qga shutdown web1
  qga shutdown --wait --timeout 120 web1 && echo off
  qga shutdown --all --dry-run
  qga shutdown --limit 'web*' --yes --wait
"""
)
@click.option(
    "--mode",
    type=click.Choice(list(_MODES)),
    default="powerdown",
    show_default=True,
    help="What is to happen.",
)
@_waits("is off (halted: answers no more; with reboot: is booted again)")
@changes_guests("shut down", timeout=_TIMEOUT)
def shutdown(settings: Settings, target: Target, mode: str, **options: bool) -> Shown:
    """Shut the guest down, by its own system.

    The agent is silent when it could begin one: qga waits 3 seconds for an error. That the guest
    goes down shows with --wait only.
    """
    return _go_down(settings, target, mode, **options)


@click.command(
    epilog="""\b
Examples:
  qga reboot --wait web1 && qga ip web1
  qga reboot web1 web2 --yes
"""
)
@_waits("is booted again, and its agent answers")
@changes_guests("reboot", timeout=_TIMEOUT)
def reboot(settings: Settings, target: Target, **options: bool) -> Shown:
    """Have the guest reboot.

    With --wait until another boot of it answers, as its kernel tells; of a guest that does not
    tell, until its agent was away and answers again.
    """
    return _go_down(settings, target, "reboot", **options)


@click.command(
    epilog="""\b
Examples:
  qga halt --wait web1
"""
)
@_waits("answers no more")
@changes_guests("halt", timeout=_TIMEOUT)
def halt(settings: Settings, target: Target, **options: bool) -> Shown:
    """Halt the guest, without turning it off.

    Its virtual machine runs on, so that --wait can only see that nobody answers any more.
    """
    return _go_down(settings, target, "halt", **options)


def _go_down(settings: Settings, target: Target, mode: str, *, wait: bool, dry_run: bool) -> Shown:
    with _client(settings, target, wait=wait) as client:
        if dry_run:
            return rehearsed(client, "guest-shutdown", _MODES[mode], {"mode": mode})
        before = _boot_id(client) if wait else None
        began = time.monotonic()
        client.shutdown(mode)
        value = {"mode": mode, "refused": False}
        if not wait:
            told = f"{mode}: the agent did not refuse; the guest goes down if it can"
            return Shown(value, told)
        left = _left(settings, began)
        if mode == "reboot":
            boot_id = client.wait_boot(before, left)
            seconds = round(time.monotonic() - began, 1)
            told = f"reboot: booted again after {seconds} s"
            return Shown({**value, "boot_id": boot_id, "seconds": seconds}, told)
        down = client.wait_down(left, off=mode == "powerdown", boot_id=before)
        return _down(value, mode, down, began)


@click.command(
    epilog="""\b
Examples:
  qga suspend web1
  qga suspend --mode disk --wait web1
"""
)
@click.option(
    "--mode",
    type=click.Choice(["ram", "disk", "hybrid"]),
    default="ram",
    show_default=True,
    help="Where its memory is kept: the host wakes it up, or (disk) starts it.",
)
@_waits("is asleep: answers no more, or (disk) is off")
@changes_guests("suspend", timeout=_TIMEOUT)
def suspend(settings: Settings, target: Target, mode: str, *, wait: bool, dry_run: bool) -> Shown:
    """Have the guest go to sleep.

    The agent is silent when it does: qga waits 3 seconds for an error. A guest whose memory is in
    RAM is woken up by its host, as by `virsh dompmwakeup`.
    """
    with _client(settings, target, wait=wait) as client:
        if dry_run:
            return rehearsed(client, f"guest-suspend-{mode}", f"suspend to {mode}", {"mode": mode})
        before = _boot_id(client) if wait else None
        began = time.monotonic()
        client.suspend(mode)
        value = {"mode": mode, "refused": False}
        if not wait:
            told = f"{mode}: the agent did not refuse; the guest goes to sleep if it can"
            return Shown(value, told)
        down = client.wait_down(_left(settings, began), off=mode == "disk", boot_id=before)
        return _down(value, mode, down, began)


def _down(value: dict[str, Any], mode: str, down: Down, began: float) -> Shown:
    seconds = round(time.monotonic() - began, 1)
    told = f"{mode}: {_DOWN[down]}, after {seconds} s"
    return Shown({**value, "down": down.value, "seconds": seconds}, told)


def _client(settings: Settings, target: Target, *, wait: bool) -> Client:
    """A client; with *wait* `--timeout` is not for its single calls."""
    return connect(target, timeout=None if wait else settings.timeout)


def _left(settings: Settings, began: float) -> float:
    seconds = PATIENCE if settings.timeout is None else settings.timeout
    return max(0.0, round(seconds - (time.monotonic() - began), 1))


def _boot_id(client: Client) -> str | None:
    """What tells this boot of the guest from others, if that may be known."""
    from qga.client.flows import power

    return client.perform(power.boot())
