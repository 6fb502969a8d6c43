"""The help of every command and the manual pages made of it; what docs/cli.md has of them."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from docs import build
from qga.cli import manual
from qga.cli.app import TOPICS, cli
from tests.support.need import need_program

from .command import Run

NAMES = [name for topic in TOPICS.values() for name in topic]
PAGE = (build.DOCS / "cli.md").read_text(encoding="utf-8")


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def examples(name: str) -> list[list[str]]:
    """The words behind each `qga` in the examples of a command, up to a pipe or a redirection."""
    found = []
    for line in (command_of(name).epilog or "").splitlines():
        if not re.match(r"  +(\S.*[ (])?qga ", line):
            continue
        words = shlex.split(line.replace("(", " ( ").replace(")", " ) "), comments=True)
        for at, word in enumerate(words):
            if word == "qga":
                rest = words[at + 1 :]
                ends = (n for n, other in enumerate(rest) if re.match(r"[|>&;)]|<", other))
                found.append(rest[: next(ends, len(rest))])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_examples_that_are_right(qga_command: Run, name: str) -> None:
    command = command_of(name)
    short = command.get_short_help_str(200)
    assert re.match(r"[A-Z].*\.$", short)
    # None is cut short in the list of all, on a terminal of 80 columns.
    assert len(short) <= 80 - len("  completion  ") - 1
    assert "\n  Examples:\n    " in qga_command(name, "--help").text
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.opts
    lines = [words for words in examples(name) if words[0] == name]
    assert lines, f"qga {name} --help has no example"
    for words in lines:
        command_of(name).make_context(name, words[1:], parent=click.Context(cli))


def test_the_page_has_every_command() -> None:
    """In the table of commands, by itself or among others."""
    _, _, rest = PAGE.partition("\n## Commands\n")
    table, _, _ = rest.partition("\n## ")
    codes = re.findall(r"`([^`]*)`", table)
    words = {word for code in codes for word in re.findall(r"[\w-]+", code)}
    assert set(NAMES) - words == set()


def test_manual_pages(qga_command: Run, tmp_path: Path) -> None:
    mandoc = need_program("mandoc", "apt-get install mandoc")
    done = qga_command("help", "--man", str(tmp_path / "man1"))
    pages = sorted((tmp_path / "man1").iterdir())
    assert [page.name for page in pages] == sorted(["qga.1", *(f"qga-{n}.1" for n in NAMES)])
    assert done.text == f"{len(pages)} pages in {tmp_path}/man1: man -l {tmp_path}/man1/qga.1\n"
    checked = subprocess.run(
        [mandoc, "-Tlint", "-Wwarning", *pages], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")
    for page in pages:
        shown = subprocess.run(
            [mandoc, "-Tutf8", page], capture_output=True, text=True, check=True
        ).stdout
        text = re.sub(r".\x08", "", shown)
        name = page.stem.removeprefix("qga-")
        if name != "qga":
            for words in examples(name):
                assert shlex.join(words) in text.replace('"', "'") or words[-1] in text
            for param in command_of(name).params:
                if isinstance(param, click.Option):
                    assert param.opts[0] in text
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"):
            assert f"\n{section}\n" in text


def test_what_would_steer_roff_is_text() -> None:
    command = click.Command(
        "x",
        short_help="Do x.",
        help="Does\n.br\nx.\n\n'quoted' \\n\n\n\b\n.nf kept\n  as-is\n",
        epilog="\b\nExamples:\n  qga x --all\n\nNotes:\nA note.\n",
    )
    group = click.Group("qga", commands={"x": command})
    page = manual.pages(group, {"Topic": {"x": ""}})["qga-x"]
    assert "\nDoes .br x.\n.PP\n\\&'quoted' \\en\n.PP\n.nf\n\\&.nf kept\n  as\\-is\n.fi\n" in page
    assert "\n.SH EXAMPLES\n.nf\n  qga x \\-\\-all\n.fi\n.SH NOTES\nA note.\n.SH SEE ALSO\n" in page


def test_either_a_name_or_the_pages(qga_command: Run, tmp_path: Path) -> None:
    done = qga_command("help", "cp", "--man", str(tmp_path))
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
