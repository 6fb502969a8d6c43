"""What the progress bar of `qga cp` says."""

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
