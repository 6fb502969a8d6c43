"""The library beside what people write by hand: here, in a virtual machine, through libvirt."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from benchmarks import cost, sites
from benchmarks.agents import one_processor
from benchmarks.host import GROUPS, LIBVIRT_GROUPS
from benchmarks.measures import MIB
from benchmarks.multitude import MULTITUDE, multitude
from benchmarks.report import Setting, Table, medians
from benchmarks.rounds import Group, Site, Sizes, tabulated, take_turns
from benchmarks.starts import LIBVIRT, installed, starts

_NAMES = ("qemu-ga", "qga")


def here_legend(setting: Setting) -> str:
    return _legend(
        "on this machine",
        "a socket",
        *_sizes(setting, sites.QUICK, sites.SIZES),
        "Then programs that are started again and again, on one processor: their CPU time, and "
        "x compares them with one that does nothing. Then many agents, which do nothing else, in "
        "another process; what a call costs over a loop with a raw socket, on the agent's Python; "
        "and `qga cp` as a program, verified.",
    )


def here(setting: Setting) -> Iterator[Table]:
    sizes, rounds = _sizes(setting, sites.QUICK, sites.SIZES)
    agents = [agent for name in _NAMES for agent in setting.agents if agent.name == name]
    with sites.here(agents, sizes) as both:
        for group in GROUPS:
            setting.tell(group.name)
            yield tabulated(group, _NAMES, take_turns(group, both, rounds))
        with installed(setting.python) as folder, one_processor():
            group = starts(folder)
            setting.tell(group.name)
            taken = take_turns(group, both[-1:], 2 if setting.short else 9)
            yield tabulated(group, ["from start to end"], taken)
    with multitude(sizes) as site:
        setting.tell(MULTITUDE.name)
        taken = take_turns(MULTITUDE, [site], rounds)
        yield tabulated(MULTITUDE, [f"{sizes.agents} agents"], taken)
    yield from cost.tables(setting)


def guest_legend(setting: Setting) -> str:
    sizes, rounds = _sizes(setting, sites.QUICK_GUEST, sites.GUEST)
    return _legend("over a guest's virtio-serial port", "a socket", sizes, rounds)


def guest(setting: Setting) -> Iterator[Table]:
    sizes, rounds = _sizes(setting, sites.QUICK_GUEST, sites.GUEST)
    return _guests(setting, sites.guest, GROUPS, sizes, rounds)


def libvirt_legend(setting: Setting) -> str:
    sizes, rounds = _sizes(setting, sites.QUICK_GUEST, sites.LIBVIRT)
    return _legend("through libvirt", "a virsh for each request", sizes, rounds)


def libvirt(setting: Setting) -> Iterator[Table]:
    sizes, rounds = _sizes(setting, sites.QUICK_GUEST, sites.LIBVIRT)
    return _guests(setting, sites.domain, (*LIBVIRT_GROUPS, LIBVIRT), sizes, rounds)


def _sizes(setting: Setting, short: Sizes, full: Sizes) -> tuple[Sizes, int]:
    """And the rounds."""
    return (short, 1) if setting.short else (full, 3)


def _guests(
    setting: Setting,
    place: Callable[[Sequence[str], Sizes], AbstractContextManager[list[Site]]],
    groups: Sequence[Group],
    sizes: Sizes,
    rounds: int,
) -> Iterator[Table]:
    """Guests are started one after the other, so all of it is known at the end only."""
    taken = []
    for name, command in zip(_NAMES, sites.GUESTS, strict=True):
        with place(command, sizes) as site:
            own = []
            for group in groups:
                setting.tell(f"{group.name}, {name}")
                own.append(take_turns(group, site, rounds))
            taken.append(own)
    for group, stock, ours in zip(groups, *taken, strict=True):
        yield tabulated(group, _NAMES, stock + ours)


def _legend(where: str, hand: str, sizes: Sizes, rounds: int, more: str = "") -> str:
    return (
        f"{medians(rounds)}, ways to do the same {where} in turns. For each "
        "agent: how fast; the CPU time that this process used; x: how fast compared with what "
        f"people write by hand, in the same round. By hand is {hand}, json and base64, 4 KiB of a "
        "file at a time, a program's status asked for without a pause. What Client.files copies "
        "is verified by checksums, and in its place only when it is complete and on the disk. "
        f"Sizes: a file of {sizes.file / MIB:g} MiB; a program's output of "
        f"{sizes.captured / MIB:g} MiB at its end, of {sizes.streamed / MIB:g} MiB while it runs; "
        f"a tree of {sizes.files} files of up to 4 KiB. {more}"
    ).rstrip()
