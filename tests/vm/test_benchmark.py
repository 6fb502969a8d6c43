"""The benchmark of a guest's port, in its short form: how fast is not asserted."""

from benchmarks import virtio
from benchmarks.report import Setting
from tests.support.need import missing
from tests.vm.cache import Unavailable


def test_every_figure_is_there() -> None:
    try:
        read, written, shares = virtio.tables(Setting([], short=True))
    except Unavailable as error:
        missing(error.what, error.remedy)
    rows = [*read.rows, *written.rows, *shares.rows]
    assert [row.name for row in rows] == ["4 KiB", "256 KiB"] * 2 + [
        f"{what}, {size} KiB" for what in ("read", "write") for size in (4, 256)
    ]
    assert all(isinstance(cell, float) and cell > 0 for row in rows for cell in row.cells)
