"""One command for many guests: `--limit PATTERN`, `--all`, or several targets.

A command is written for one guest, returns `Shown`, and gets `each_guest` as its last decorator.
For several, each is worked at by a thread; what comes of it is printed as it comes, each line with
the guest's name in front, or as rows of one table; a summary follows on standard error, and the
exit code is 0 only if all succeeded. Nothing waits for a thread that hangs: neither the others, nor
an interrupt, nor the end.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.client.crew import Crew
from qga.client.listing import targets as list_targets
from qga.client.reach import Reach
from qga.client.target import Target
from qga.errors import AgentTimeout, QgaError

from . import ending
from .ending import Failed
from .hanging import Watch, WatchedTarget
from .options import EACH_ANSWER, Settings, meant, shared, with_settings
from .output import Shown, counted, structured, text_of
from .quantities import Count
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# How many guests are worked at at once unless told.
FORKS = 16

FAILED = 1

# Seconds between looks at what hangs.
_LOOK = 0.5

_HANGS = "the way to this guest hangs: it has not come back from a call whose time is over"


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


def guests_options(
    function: Callable[..., Any], *, limit: Sequence[str] = ("-l", "--limit")
) -> Callable[..., Any]:
    """Add `-l`, `--all` and `--forks`, and pass them on as they are: `chosen` reads them; and
    `--exclude` and `--fail-fast`, which `chosen` and `run` find by themselves.

    Args:
        limit: the names of `--limit`, where the command has a use of its own for `-l`.
    """
    return shared(
        choosing_options(function, limit=limit),
        click.option(
            "--forks",
            type=Count(1),
            metavar="N",
            default=FORKS,
            show_default=True,
            help="How many guests are worked at at once.",
        ),
        click.option(
            "--fail-fast",
            is_flag=True,
            expose_value=False,
            callback=_kept,
            help="Begin with no further guest after one has failed.",
        ),
    )


def choosing_options(
    function: Callable[..., Any], *, limit: Sequence[str] = ("-l", "--limit")
) -> Callable[..., Any]:
    """Add `-l`, `--all` and `--exclude` alone, for what is at work at all guests at once."""
    return shared(
        function,
        click.option(
            *limit,
            multiple=True,
            metavar="PATTERN",
            help="The guests whose names match, as 'web*'; several, or PATTERN,PATTERN.",
        ),
        click.option("--all", "all_guests", is_flag=True, help="All guests: see `qga targets`."),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            expose_value=False,
            callback=_kept,
            help="But not those whose names match; also as '!PATTERN' among the others.",
        ),
    )


def _kept(context: click.Context, option: click.Parameter, value: Any) -> None:
    context.meta[f"qga.{option.name}"] = value


def _given(option: str, otherwise: Any) -> Any:
    """What `_kept` has of *option*; a command need not have it."""
    context = click.get_current_context(silent=True)
    return otherwise if context is None else context.meta.get(f"qga.{option}", otherwise)


def chosen(words: tuple[str, ...], limit: tuple[str, ...], *, all_guests: bool) -> Guests:
    """The guests that are meant by TARGETs, `--limit`, `--all` and `--exclude`.

    Raises:
        click.UsageError: these contradict each other, or no guest is meant.
        InvalidTarget: a target is wrong.
    """
    excluded = _given("exclude", ())
    if not limit and not all_guests:
        if excluded:
            raise click.UsageError("--exclude goes with --limit or --all")
        targets = [meant(word) for word in words] if words else [meant(None)]
        return Guests(targets, many=len(targets) > 1)
    if words:
        raise click.UsageError(f"either {words[0]!r}, or --limit and --all")
    patterns = Patterns(limit, excluded)
    found = [known for known in list_targets() if patterns.match(known.name)]
    off = [ending.printable(known.name) for known in found if known.state == Reach.OFF]
    if off:
        print(f"qga: left out, as they do not run: {', '.join(off)}", file=sys.stderr)
    targets = [
        # A targets file may say more of a name than its target.
        Target(known.name) if known.source == "file" else Target(known.name, full=known.target)
        for known in found
        if known.state != Reach.OFF
    ]
    if not targets:
        if not (limit or excluded or off):
            raise click.UsageError("no guest was found: `qga targets` tells where")
        which = "none that is" if off else "no guest is"
        raise click.UsageError(
            f"{which} named like {patterns}{' runs' if off else ''}: `qga targets` lists them"
        )
    return Guests(targets, many=True)


class Patterns:
    """Which names are meant: those that match a pattern, and none with a `!` in front.

    Args:
        limit: patterns, several of them in one word with commas between.
        excluded: patterns as if with a `!`.
    """

    def __init__(self, limit: Iterable[str], excluded: Iterable[str] = ()) -> None:
        words = [word for text in limit for word in text.split(",") if word]
        self.wanted = [word for word in words if not word.startswith("!")]
        self.unwanted = [word[1:] for word in words if word.startswith("!")]
        self.unwanted += [word for text in excluded for word in text.split(",") if word]

    def match(self, name: str) -> bool:
        """Whether *name* is meant."""
        return any(fnmatchcase(name, pattern) for pattern in self.wanted or ["*"]) and not any(
            fnmatchcase(name, pattern) for pattern in self.unwanted
        )

    def __str__(self) -> str:
        return ", ".join([*(self.wanted or ["*"]), *(f"!{word}" for word in self.unwanted)])


def each_guest(
    function: Callable[..., Shown],
    *,
    timeout: Callable[[Callable[..., Any]], Callable[..., Any]] = EACH_ANSWER,
    first: Callable[[Guests, dict[str, Any]], None] | None = None,
) -> Callable[..., Any]:
    """Make *function*, which is called with `Settings`, a `Target` and options, one for many.

    Adds the options of every command, those that choose guests, and the argument TARGET.

    Args:
        function: the command.
        timeout: the option of that name, where it means something else.
        first: called with the guests and the options before anything is done; it may take some of
            these away.
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
        if first is not None:
            first(guests, named)
        return run(settings, guests, lambda target: function(settings, target, **named))

    update_wrapper(command, function)
    targets = click.argument("targets", nargs=-1, metavar="[TARGET]...")
    return with_settings(guests_options(targets(command)), timeout=timeout)


def run(settings: Settings, guests: Guests, action: Callable[[Target], Shown]) -> int:
    """Do *action* for each of the guests, print what comes of it, and return the exit code.

    An interrupt ends it at once: what is under way is left behind.
    """
    if not guests.many:
        return settings.show(action(guests.targets[0]))
    rows = Rows(settings.look, [ending.printable(one.text) for one in guests.targets])
    fleet = _Fleet(guests, action, fail_fast=_given("fail_fast", False))
    try:
        for outcome in fleet.outcomes():
            _tell(settings, outcome, rows)
    except KeyboardInterrupt:
        fleet.interrupt()
        print(file=sys.stderr)
    finally:
        rows.close()
    if settings.look.form in {"json", "yaml"}:
        print(structured([outcome.record() for outcome in fleet.all()], settings.look.form))
    elif settings.look.form == "jsonl":
        for outcome in fleet.left():
            print(structured(outcome.record(), "jsonl"))
    print(f"qga: {fleet.summary()}", file=sys.stderr)
    return fleet.code


class _Fleet:
    """The guests of one run, and what has come of each so far."""

    def __init__(
        self, guests: Guests, action: Callable[[Target], Shown], *, fail_fast: bool
    ) -> None:
        self._targets = guests.targets
        self._action = action
        self._fail_fast = fail_fast
        self._done: dict[int, Outcome] = {}
        self._watches = [Watch() for _ in self._targets]
        self._places = list(range(len(self._targets)))
        self._stopped = False
        self.interrupted = False
        self._crew = Crew(self._attempt, self._places, guests.forks)

    def outcomes(self) -> Iterator[Outcome]:
        """What comes of each guest, as it comes; until there is no more to wait for."""
        while not self._over():
            found = self._crew.next(_LOOK)
            if found is not None:
                place, result = found
                if place not in self._done:  # unless it was given up
                    yield self._note(place, result)
                continue
            for place in self._hanging():
                self._crew.replace()
                yield self._note(place, AgentTimeout(_HANGS))

    def interrupt(self) -> None:
        """Begin with no more, and wait for nothing."""
        self._crew.stop()
        self.interrupted = True

    def _over(self) -> bool:
        return (self._crew.begun if self._stopped else set(self._places)) <= self._done.keys()

    def _hanging(self) -> list[int]:
        now = time.monotonic()
        under_way = (place for place in sorted(self._crew.begun) if place not in self._done)
        return [place for place in under_way if self._watches[place].hangs(now)]

    def _note(self, place: int, result: Shown | BaseException) -> Outcome:
        target = self._targets[place]
        if isinstance(result, Shown):
            outcome = Outcome(target, result)
        elif isinstance(result, Failed):
            outcome = Outcome(target, Shown(None, code=result.code), ending.message(result.cause))
        elif isinstance(result, (QgaError, OSError)):
            code = ending.code_for(result)
            outcome = Outcome(target, Shown(None, code=code), ending.message(result))
        else:
            raise result
        self._done[place] = outcome
        if outcome.code and self._fail_fast:
            self._crew.stop()
            self._stopped = True
        return outcome

    def _attempt(self, place: int) -> Shown:
        return self._action(WatchedTarget(self._targets[place], self._watches[place]))

    def all(self) -> list[Outcome]:
        """What has come of all, in the order that the user told; also of those not done."""
        return [self._done.get(place) or self._not_done(place) for place in self._places]

    def left(self) -> list[Outcome]:
        """Those that were not done."""
        return [self._not_done(place) for place in self._places if place not in self._done]

    def _not_done(self, place: int) -> Outcome:
        under_way = place in self._crew.begun
        why = "interrupted" if under_way else "not begun"
        code = ending.INTERRUPTED if self.interrupted else FAILED
        return Outcome(self._targets[place], Shown(None, code=code), why)

    @property
    def code(self) -> int:
        if self.interrupted:
            return ending.INTERRUPTED
        failed = len(self._done) < len(self._places) or any(o.code for o in self._done.values())
        return FAILED if failed else 0

    def summary(self) -> str:
        """How many were done, and which were not."""
        failed = [outcome for _, outcome in sorted(self._done.items()) if outcome.code]
        told = f"{counted(len(self._places), 'guest')}: {len(self._done) - len(failed)} done"
        for number, word in ((failed, "failed"), (self.left(), "not done")):
            if number:
                told += f", {len(number)} {word} ({', '.join(_name(each) for each in number)})"
        return f"interrupted; {told}" if self.interrupted else told


def _tell(settings: Settings, outcome: Outcome, rows: Rows) -> None:
    name = _name(outcome)
    told: list[str] = []
    if settings.look.form == "jsonl":
        print(structured(outcome.record(), "jsonl"), flush=True)
    elif settings.json:
        pass  # all together, in the end
    elif (table := outcome.shown.shared) is not None:
        rows.add(name, table)
    else:
        told = text_of(outcome.shown, settings.look.form)
    if told or outcome.error:
        with rows.away():
            for line in told:
                print(f"{name}: {line}")
            sys.stdout.flush()
            if outcome.error:
                ending.tell(f"{name}: {outcome.error}", outcome.code)


def _name(outcome: Outcome) -> str:
    return ending.printable(outcome.target.text)
