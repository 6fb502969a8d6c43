"""What `qga top` shows of guests, whatever has looked at them."""

import pytest

from qga.cli import toplive, topview
from qga.cli.output import lines
from qga.cli.topview import Order, View
from qga.cli.topwatch import WAITING, Seen
from qga.client.facts import FileSystem
from qga.client.vitals import CpuTime, Load, Memory, Vitals


def look(seconds: float, busy: int, load: float = 1.0, used: int = 25) -> Vitals:
    return Vitals(
        seconds,
        load=Load(load, 0.5, 0.25),
        cpus=(CpuTime(0, busy, 0, 0, int(seconds * 1000) - busy),),
        memory=Memory(2 << 30, (2 << 30) * (100 - used) // 100, 0),
        filesystems=(
            FileSystem("/", "vda1", "ext4", 100, 10),
            FileSystem("/srv", "vda2", "ext4", 100, used),
            FileSystem("/x", "vda3", "ext4", None, None),
        ),
    )


@pytest.fixture
def seen() -> list[Seen]:
    """One that is idle, one that is busy, one that is not there, one that has not answered."""
    idle, busy, gone, new = Seen("idle"), Seen("busy"), Seen("gone"), Seen("new")
    idle.take(look(1.0, 100))
    idle.take(look(3.0, 200, load=0.1))
    busy.take(look(1.0, 100))
    busy.take(look(3.0, 2100, load=3.0, used=90))
    gone.take(look(1.0, 100))
    gone.fail("no-channel", "cannot open it")
    return [new, idle, gone, busy]


def names(seen: list[Seen]) -> list[str]:
    return [one.name for one in seen]


def test_the_order(seen: list[Seen]) -> None:
    assert names(Order().sorted(seen)) == ["busy", "gone", "idle", "new"]
    assert names(Order("name", reverse=True).sorted(seen)) == ["new", "idle", "gone", "busy"]
    for by in ("cpu", "load", "memory", "filesystem"):
        # Those that tell nothing stay at the end.
        assert names(Order(by).sorted(seen)) == ["busy", "idle", "new", "gone"]
        assert names(Order(by, reverse=True).sorted(seen)) == ["idle", "busy", "new", "gone"]
    for by in ("network", "disk"):
        assert names(Order(by).sorted(seen)) == names(seen)
    assert Order("cpu").chosen("cpu") == Order("cpu", reverse=True)
    assert Order("cpu", reverse=True).chosen("cpu") == Order("cpu")
    assert Order("cpu", reverse=True).chosen("load") == Order("load")


def test_the_table(seen: list[Seen]) -> None:
    table = topview.table(seen)
    assert [line.split() for line in lines(table.narrowed("table"))] == [
        ["guest", "state", "cpu", "load", "mem", "fs", "rx/s", "tx/s", "rd/s", "wr/s"],
        ["new", WAITING, *"--------"],
        ["idle", "ready", "5%", "0.10", "25%", "25%", *"----"],
        ["gone", "no-channel", *"--------"],
        ["busy", "ready", "100%", "3.00", "90%", "90%", *"----"],
    ]
    wide = dict(zip(table.columns, table.rows[1], strict=True))
    assert (wide["5 min"], wide["size"], wide["fullest"]) == ("0.50", "2.0G", "/srv")


def test_for_programs(seen: list[Seen]) -> None:
    found = topview.record(seen[1], "now")
    assert (found["time"], found["guest"], found["state"], found["sentence"]) == (
        "now", "idle", "ready", None,
    )  # fmt: skip
    assert (found["seconds"], found["cpu"], found["load"]) == (2.0, 5.0, [0.1, 0.5, 0.25])
    assert found["memory"] == {"total": 2 << 30, "used": (2 << 30) // 4}
    assert [one["percent"] for one in found["filesystems"]] == [10.0, 25.0, None]
    gone = topview.record(seen[2], "now")
    assert gone.keys() == found.keys()
    assert (gone["state"], gone["sentence"]) == ("no-channel", "cannot open it")
    assert {gone[name] for name in ("seconds", "cpu", "load", "memory", "filesystems")} == {None}


def test_a_frozen_guest_keeps_its_file_systems() -> None:
    one = Seen("db")
    one.take(look(1.0, 100))
    one.take(Vitals(2.0, frozen=True))
    assert (one.state, one.rates, one.answers) == ("frozen", None, True)
    assert topview.fullest(one) is not None
    one.take(look(3.0, 100))
    assert (one.state, one.sentence) == ("ready", "")
    assert one.rates is not None
    assert one.rates.cpu is None


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "-"), (0, "0"), (999, "999"), (999.6, "1.0K"), (1023, "1.0K"), (9.94 * 1024, "9.9K"),
        (9.96 * 1024, "10K"), (1 << 20, "1.0M"), (999 << 20, "999M"), (5 << 30, "5.0G"),
        (3 << 40, "3.0T"),
    ],
)  # fmt: skip
def test_short_numbers(number: float | None, shown: str) -> None:
    assert topview.short(number) == shown


def test_keys() -> None:
    view = View(lines=10)
    view.press("c")
    assert view.order == Order("cpu")
    view.press("c p")
    assert (view.order, view.paused) == (Order("cpu", reverse=True), False)
    view.press("p")
    assert view.paused
    view.press("\x1b[B\x1b[6~jxy\x1b[Z")
    assert view.first == 12
    view.press("\x1b[A\x1b[5~")
    assert view.first == 1
    view.press("kkk")
    assert (view.first, view.ended) == (0, False)
    view.press("nq")
    assert view.ended


def test_what_is_in_view(seen: list[Seen]) -> None:
    view = View(first=9)
    assert names(view.shown(seen, 3)) == ["gone", "idle", "new"]
    assert view.first == 1
    assert names(view.shown(seen, 10)) == ["busy", "gone", "idle", "new"]
    assert view.first == 0


@pytest.mark.parametrize("size", [(200, 40), (100, 12), (80, 24), (60, 7), (20, 3), (1, 1)])
def test_it_fits_any_screen(seen: list[Seen], size: tuple[int, int]) -> None:
    from rich.console import Console

    many = [*seen, *(Seen(f"more{number}\x1b[2J") for number in range(40))]
    console = Console(width=size[0], height=size[1], force_terminal=True, color_system=None)
    for wide in (False, True):
        with console.capture() as captured:
            console.print(toplive.drawn(View(), many, 2.0, *size, wide=wide), height=size[1])
        shown = captured.get()
        assert "\x1b[2J" not in shown
        drawn = shown.splitlines()
        assert all(len(line) <= size[0] for line in drawn)
        if size[1] >= 7:
            assert len(drawn) == size[1]
            assert drawn[-1].startswith("q quit"[: size[0] - 1])
        if size[0] >= 80:
            assert "44 guests: 41 waiting, 2 ready, 1 no-channel" in drawn[0]


def test_columns_leave_a_narrow_screen_before_numbers_are_cut(seen: list[Seen]) -> None:
    wide = topview.table(seen)
    assert topview.fitting(wide, 200).columns == wide.columns
    narrow = topview.fitting(wide.narrowed("table"), 40)
    assert [*narrow.columns] == ["guest", "state", "cpu", "load", "mem", "fs"]
    assert len(narrow.rows) == len(seen)
    assert "load" not in topview.fitting(wide, 36).columns
    assert "fs" in topview.fitting(wide, 5).columns
