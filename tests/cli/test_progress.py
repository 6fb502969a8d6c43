"""What the progress bar of `qga cp` says."""

from io import StringIO

from rich.console import Console

from qga.cli.progress import drawn


def test_the_rate_is_told_in_the_units_of_the_size() -> None:
    progress = drawn(Console())
    progress.add_task("file", total=6 << 20, completed=6 << 20)
    (task,) = progress.tasks

    def line() -> str:
        columns = (c if isinstance(c, str) else c(task) for c in progress.columns)
        return " ".join(map(str, columns))

    assert " 6.0/6.0 MiB  " in line()
    task.finished_speed = 3 << 20
    assert " 6.0/6.0 MiB 3.0 MiB/s " in line()


def test_a_long_name_leaves_room_for_the_rest() -> None:
    for width, parts in ((120, "━ % MiB/s /36.0"), (80, "━ % MiB/s /36.0"), (40, "% MiB/s")):
        console = Console(width=width, file=StringIO(), force_terminal=True, color_system=None)
        progress = drawn(console)
        task = progress.add_task("name " * 40, total=36 << 20, completed=20 << 20)
        progress.tasks[task].finished_speed = 3 << 20
        with console.capture() as capture:
            console.print(progress.make_tasks_table(progress.tasks))
        (line,) = capture.get().splitlines()
        assert all(part in line for part in parts.split()), line
        assert "0:00:" in line or "-:--:--" in line
