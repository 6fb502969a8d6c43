"""One command for many guests: `--limit PATTERN`, `--all`, or several targets.

A command is written for one guest, returns `Shown`, and gets `each_guest` as its last decorator.
For several, each is worked at by a thread; what comes of it is printed as it comes, each line with
the guest's name in front; a summary follows on standard error, and the exit code is 0 only if all
succeeded.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import update_wrapper
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from qga.client.listing import targets as list_targets
from qga.client.target import Target
from qga.errors import QgaError

from . import ending
from .options import Settings, meant, with_settings
from .output import Shown, counted, structured, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How many guests are worked at at once unless told.
FORKS = 16

FAILED = 1


@dataclass(frozen=True, slots=True)
class Guests:
    """The guests that a command line means.

    Attributes:
        targets: one or more; none only if `many`.
        many: whether the user means any number, so that names stand in front of what is printed.
        forks: how many at once.
    """

    targets: list[Target]
    many: bool
    forks: int = FORKS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one guest: `shown`, or an `error` and what to tell about it."""

    target: Target
    shown: Shown
    error: str = ""

    @property
    def code(self) -> int:
        return self.shown.code

    def record(self) -> dict[str, Any]:
        """For programs."""
        found = {"guest": self.target.text, "ok": not self.code, "code": self.code}
        found |= {"error": self.error} if self.error else {"result": self.shown.value}
        return found


def guests_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-l`, `--all` and `--forks`; pass on the options as they are: `chosen` reads them."""
    for option in (
        click.option(
            "--forks",
            type=click.IntRange(min=1),
            default=FORKS,
            show_default=True,
            help="How many guests are worked at at once.",
        ),
        click.option("--all", "all_guests", is_flag=True, help="All guests that are known here."),
        click.option(
            "-l",
            "--limit",
            multiple=True,
            metavar="PATTERN",
            help="The guests whose names match, as 'web*'; several, or PATTERN,PATTERN.",
        ),
    ):
        function = option(function)
    return function


def chosen(words: tuple[str, ...], limit: tuple[str, ...], *, all_guests: bool) -> Guests:
    """The guests that are meant by TARGETs, `--limit` and `--all`.

    Raises:
        click.UsageError: these contradict each other, or no guest is meant.
        InvalidTarget: a target is wrong.
    """
    if not limit and not all_guests:
        targets = [meant(word) for word in words] if words else [meant(None)]
        return Guests(targets, many=len(targets) > 1)
    if words:
        raise click.UsageError(f"either {words[0]!r}, or --limit and --all")
    patterns = [pattern for one in limit for pattern in one.split(",") if pattern] or ["*"]
    known = [found.name for found in list_targets()]
    names = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not names:
        raise click.UsageError(
            f"no guest is named like {', '.join(patterns)}: `qga targets` lists them"
        )
    return Guests([Target(name) for name in names], many=True)


def each_guest(function: Callable[..., Shown]) -> Callable[..., Any]:
    """Make *function*, which is called with `Settings`, a `Target` and options, one for many.

    Adds the options of every command, those that choose guests, and the argument TARGET.
    """

    def command(
        settings: Settings,
        targets: tuple[str, ...],
        limit: tuple[str, ...],
        forks: int,
        *,
        all_guests: bool,
        **named: Any,
    ) -> int:
        guests = replace(chosen(targets, limit, all_guests=all_guests), forks=forks)
        return run(settings, guests, lambda target: function(settings, target, **named))

    update_wrapper(command, function)
    targets = click.argument("targets", nargs=-1, metavar="[TARGET]...")
    return with_settings(guests_options(targets(command)))


def run(settings: Settings, guests: Guests, action: Callable[[Target], Shown]) -> int:
    """Do *action* for each of the guests, print what comes of it, and return the exit code."""
    if not guests.many:
        return settings.show(action(guests.targets[0]))
    outcomes: dict[str, Outcome] = {}
    for outcome in _each(guests, action):
        outcomes[outcome.target.text] = outcome
        _tell(settings, outcome)
    if settings.look.form in {"json", "yaml"}:
        records = [outcomes[target.text].record() for target in guests.targets]
        print(structured(records, settings.look.form))
    failed = [target.text for target in guests.targets if outcomes[target.text].code]
    print(f"qga: {_summary(len(guests.targets), failed)}", file=sys.stderr)
    return FAILED if failed else 0


def _each(guests: Guests, action: Callable[[Target], Shown]) -> Iterator[Outcome]:
    """What comes of the guests, as it comes."""
    waiting: SimpleQueue[Target] = SimpleQueue()
    done: SimpleQueue[Outcome | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            while True:
                done.put(_attempt(action, waiting.get_nowait()))
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - who waits for it is told
            done.put(error)

    for target in guests.targets:
        waiting.put(target)
    # Unlike those of a pool, they keep nobody who interrupts waiting for a guest that hangs.
    for _ in range(min(guests.forks, len(guests.targets))):
        threading.Thread(target=work, name="qga guest", daemon=True).start()
    for _ in guests.targets:
        outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome


def _attempt(action: Callable[[Target], Shown], target: Target) -> Outcome:
    try:
        return Outcome(target, action(target))
    except ending.Failed as failure:
        return Outcome(target, Shown(None, code=failure.code), ending.message(failure.cause))
    except (QgaError, OSError) as error:
        return Outcome(target, Shown(None, code=ending.code_for(error)), ending.message(error))


def _tell(settings: Settings, outcome: Outcome) -> None:
    name = ending.printable(outcome.target.text)
    if settings.look.form == "jsonl":
        print(structured(outcome.record(), "jsonl"), flush=True)
    elif not settings.json:
        for line in text_of(outcome.shown, settings.look.form):
            print(f"{name}: {line}")
        sys.stdout.flush()
    if outcome.error:
        ending.tell(f"{name}: {outcome.error}", outcome.code)


def _summary(count: int, failed: list[str]) -> str:
    told = f"{counted(count, 'guest')}: {count - len(failed)} done"
    if failed:
        told += f", {len(failed)} failed ({', '.join(map(ending.printable, failed))})"
    return told
