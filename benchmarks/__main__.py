"""``python -m benchmarks``: the agents side by side, and the library, on this machine, now."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import markdown, text
from benchmarks.contenders import compile_package, contenders, guest_python, versions
from benchmarks.plans import PLANS
from benchmarks.report import Part, Plan, Setting
from tests.vm.cache import Unavailable


def main() -> int:
    options = _options()
    chosen = [plan for plan in PLANS if getattr(options, plan.option)]
    chosen = chosen or [plan for plan in PLANS if plan.usual(short=options.quick)]
    begin = time.monotonic()
    try:
        python = options.python or guest_python()
        agents = contenders(python)
        compile_package(python)
        about = f"{machine()}\n{versions(agents)}"
        print(about)
        print(duration(chosen, short=options.quick), flush=True)
        setting = Setting(agents, python, options.quick, options.rounds, options.only, tell)
        parts = list(measured(chosen, setting))
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{summary(parts)}")
    if options.page is not None:
        for path in markdown.write(options.page, about, summary(parts), parts):
            print(path)
    print(f"{time.monotonic() - begin:.0f} seconds")
    return 1 if any(part.lacks for part in parts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, each shorter")
    parser.add_argument(
        "--python", help="the one that our agent runs on (default: the system's, if it can)"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="agents: rows with TEXT in them")
    parser.add_argument("--rounds", type=int, help="agents: how many (default: 7, or 2 if quick)")
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FOLDER",
        help=f"write {markdown.PAGE} there, and {markdown.PICTURE} if throughput is measured",
    )
    short = ", ".join(plan.option for plan in PLANS if plan.in_short)
    parts = parser.add_argument_group("parts", f"without any: all; with --quick, {short}")
    for plan in PLANS:
        parts.add_argument(f"--{plan.option}", action="store_true", help=plan.title)
    options = parser.parse_args()
    if options.only and options.page:
        parser.error("--page is of whole tables, without --only")
    return options


def measured(plans: Sequence[Plan], setting: Setting) -> Iterator[Part]:
    """Every plan's part, shown as it comes to be."""
    for plan in plans:
        part = Part(plan.title, plan.legend(setting))
        print(text.heading(part.title, part.legend), flush=True)
        try:
            for table in plan.tables(setting):
                tell("")
                part.tables.append(table)
                print(f"\n{text.table(table)}", flush=True)
        except Unavailable as error:
            part.lacks = f"Not measured: {error}."
            print(f"\n{part.lacks}", flush=True)
        yield part


def tell(what: str) -> None:
    """Show *what* is measured now, to whom looks on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()


def duration(plans: Sequence[Plan], *, short: bool) -> str:
    """What to expect on a machine that does nothing else."""
    seconds = sum(plan.seconds[short] for plan in plans)
    return (
        f"This takes about {seconds} seconds."
        if short
        else f"This takes about {-(-seconds // 60)} minutes."
    )


def summary(parts: Sequence[Part]) -> str:
    """Which targets are missed. It is no failure: a machine may be busy."""
    if missed := [f"- {line}" for part in parts for line in part.missed()]:
        return "\n".join(["Missed targets:", "", *missed])
    tables = [table for part in parts for table in part.tables]
    judged = any(column.name == "holds" for table in tables for column in table.columns)
    return "No target is missed." if judged else "Nothing in it has a target."


def machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = models[0] if models else platform.machine()
    # Without a syslog daemon, qemu-ga looks for one again with each message.
    syslog = "syslog" if Path("/dev/log").exists() else "no syslog"
    return f"{os.cpu_count()} x {processor}, {platform.system()} {platform.release()}, {syslog}"


if __name__ == "__main__":
    sys.exit(main())
