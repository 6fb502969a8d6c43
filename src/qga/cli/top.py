"""`qga top`: what many guests are busy with, live on a terminal or as text again and again."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from . import ending, topview
from .fleet import FAILED, choosing_options, chosen
from .options import with_settings
from .output import lines, structured
from .quantities import Count, Seconds

if TYPE_CHECKING:
    from qga.client import Target

    from .options import Settings
    from .output import Look
    from .topwatch import Seen


@click.command(
    short_help="Watch what guests are busy with.",
    epilog="""\b
Examples:
  qga top web1 web2
  qga top --all --sort cpu
  qga top -l 'web*' -d 10 -n 6 | cat       # as text, for a minute
  qga top --all -o jsonl >load.jsonl       # for programs, until it is interrupted
""",
)
@click.option(
    "-d",
    "--delay",
    type=Seconds(0.1),
    default=2.0,
    metavar="SECONDS",
    help="How long from one look to the next; 2 by default.",
)
@click.option(
    "-n",
    "--count",
    type=Count(1),
    metavar="N",
    help="How often to look; without, until you press q or interrupt it. -o json and yaml: 1.",
)
@click.option(
    "--sort",
    type=click.Choice(topview.NAMES),
    default="name",
    show_default=True,
    help="By what the guests are sorted, the busiest first.",
)
@click.option("-b", "--batch", is_flag=True, help="As text, on a terminal too.")
@with_settings
@choosing_options
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
def top(
    settings: Settings,
    targets: tuple[str, ...],
    limit: tuple[str, ...],
    *,
    delay: float,
    count: int | None,
    sort: str,
    all_guests: bool,
    batch: bool,
) -> int:
    """Watch what guests are busy with: processors, load, memory, file systems, network, disks.

    On a terminal it is a live view: q ends it, the space bar pauses it, letters sort it. Otherwise
    a table is printed at each look, or with -o jsonl a line for each guest. Rates are what happened
    since the look before, so the first ones come after DELAY seconds.

    A guest that does not answer within 5 seconds (or --timeout) shows why, and delays no other. Any
    agent will do. A channel with room for one client is free for others between the looks.
    """
    # What takes long to load, and `qga --help` can do without.
    import asyncio

    from .topwatch import PATIENCE

    guests = chosen(targets, limit, all_guests=all_guests).targets
    patience = PATIENCE if settings.timeout is None else settings.timeout
    order = topview.Order(sort)
    if (
        batch
        or settings.json
        or not sys.stdout.isatty()
        or settings.look.console().is_dumb_terminal
    ):
        return asyncio.run(
            _print(settings.look, guests, order, interval=delay, patience=patience, count=count)
        )
    from . import toplive

    return asyncio.run(
        toplive.run(
            settings.look.console(),
            guests,
            topview.View(order),
            interval=delay,
            patience=patience,
            count=count,
            wide=settings.look.form == "wide",
        )
    )


async def _print(
    look: Look,
    targets: list[Target],
    order: topview.Order,
    *,
    interval: float,
    patience: float,
    count: int | None,
) -> int:
    """Print what is seen, *count* times."""
    import asyncio

    from .topwatch import Watch

    whole = look.form in {"json", "yaml"}  # one document, so it has to end
    if whole and count is None:
        count = 1
    loop = asyncio.get_running_loop()
    watch = Watch(targets, patience)
    records: list[dict[str, Any]] = []
    seen: list[Seen] = []
    try:
        watch.begin()
        rounds = 0
        due = loop.time() + interval
        while count is None or rounds < count:
            await asyncio.sleep(due - loop.time())
            rounds += 1
            due = loop.time() + interval
            watch.begin()
            # The last word is waited for.
            await watch.settle(None if rounds == count else interval)
            seen = order.sorted(watch.seen)
            now = datetime.now(UTC)
            found = [topview.record(one, now.isoformat(timespec="milliseconds")) for one in seen]
            if whole:
                records += found
            elif look.structured:
                print(structured(found, look.form), flush=True)
            else:
                blank = "\n" if rounds > 1 else ""
                table = topview.table(seen).narrowed(look.form)
                print(f"{blank}{now.astimezone():%H:%M:%S}", *lines(table), sep="\n", flush=True)
    finally:
        await watch.close()
    if whole:
        print(structured(records, look.form))
    troubles = [one for one in seen if not one.answers]
    for one in troubles:
        print(f"qga: {ending.printable(f'{one.name}: {one.sentence}')}", file=sys.stderr)
    return FAILED if troubles else 0
