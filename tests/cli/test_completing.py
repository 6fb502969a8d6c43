"""What is offered for the next word, and what bash, zsh and fish make of it on a terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from qga.cli import completing
from qga.cli.app import TOPICS, cli
from qga.cli.shells import FILES, SCRIPTS, Typed, typed
from qga.testing import AgentProcess, FakeAgent

from .command import Run
from .interactive import Shell

Offered = Callable[[str], list[str]]

BREAKS = " \t\n\"'@><=;|&(:"  # what bash's COMP_WORDBREAKS is, unless it is changed


@pytest.fixture
def offered(qga_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offered]:
    """Asks what bash would be offered at the end of a line."""
    with FakeAgent().serve() as target:
        names = tmp_path / "names.toml"
        names.write_text(f'[targets]\nweb1 = "{target}"\nweb2 = "{target}"\ndb = "unix:/none"\n')
        monkeypatch.setenv("QGA_TARGETS", str(names))
        monkeypatch.setenv("QGA_FIND", "files")  # not what else runs here
        monkeypatch.chdir(tmp_path)

        def ask(line: str) -> list[str]:
            return qga_command("__complete", "bash", line, BREAKS).text.splitlines()

        yield ask


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("qga pi", ["word", "ping"]),
        ("qga nonsense ", ["word"]),
        ("qga exec web1 -- ", ["word"]),
        ("qga exec --tt", ["word", "--tty"]),
        ("qga status ", ["word", "db", "web1", "web2"]),
        ("qga status web1 web", ["word", "web1", "web2"]),
        ("qga status -o j", ["word", "json", "jsonl"]),
        ("qga status --output=y", ["word", "yaml"]),
        ("qga status --out", ["word", "--output"]),
        ("qga status -l w", ["word", "web1", "web2"]),
        ("qga status unix:/no/such/folder/", ["word"]),
        ("qga cat w", ["word", "web1:", "web2:"]),
        ("qga cat web1", ["part", "web1:"]),
        ("qga cat web1:", ["part", "/"]),
        ("qga cat db:/etc/", ["word"]),
        ("qga cat libv", ["part", "libvirt:"]),
        ("qga cp na", ["word", "names.toml"]),
        ("qga cp ./na", ["file"]),
        ("qga call we", ["word", "web1", "web2"]),
        ("qga call web1 guest-file-o", ["word", "guest-file-open"]),
        ("qga call guest-file-o", ["word", "guest-file-open"]),
        ("qga call guest-file-open m", ["part", "mode="]),
        ("qga call web1 guest-file-seek handle=1 ", ["word", "offset=", "whence="]),
        ("qga call web1 guest-file-seek whence=", ["word", "set", "cur", "end"]),
        ("qga call web1 guest-set-user-password crypted=t", ["word", "true"]),
        ("qga call web1 guest-invented ", ["word"]),
        ("qga freeze w", ["word", "web1", "web2"]),
        ("qga freeze web1 -- tr", ["program"]),
        ("qga freeze web1 -- tar -c", ["file"]),
        ("qga targets l", ["word", "libvirt:"]),
        ("qga help sche", ["word", "schema"]),
        ("qga help guest-pi", ["word", "guest-ping"]),
        ("qga completion z", ["word", "zsh"]),
        ("A=1 qga statu", ["word", "status"]),
        ("qga schema >/t", ["file"]),
        ("qga status 2> web", ["file"]),
    ],
)
def test_what_is_offered(offered: Offered, line: str, reply: list[str]) -> None:
    assert offered(line) == reply


def test_the_target_of_the_environment(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("qga cat :/etc/") == ["word"]
    monkeypatch.setenv("QGA_TARGET", "web1")
    assert offered("qga cat :") == ["part", "/"]
    assert offered("qga call guest-pi") == ["word", "guest-ping"]


def test_users(fake_agent: FakeAgent) -> None:
    fake_agent.files["/etc/passwd"] = b"root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"
    with fake_agent.serve() as target:
        context = click.Context(click.Command("exec"))
        found = completing.found(["USER"], completing.Asked(context, [target], "a"))
    assert [item.value for item in found] == ["alice"]


def test_descriptions(qga_command: Run) -> None:
    for shell, line in (
        ("zsh", "plain\tping\tSee whether the agent answers, and how fast."),
        ("fish", "ping\tSee whether the agent answers, and how fast."),
    ):
        assert qga_command("__complete", shell, "pi").text.splitlines() == ["word", line]
    assert qga_command("__complete", "tcsh", "pi", lines=0).code == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [Typed("")]),
        ("qga a", [Typed("qga"), Typed("a")]),
        ("qga a ", [Typed("qga"), Typed("a"), Typed("")]),
        ("qga '' ", [Typed("qga"), Typed("", quote=""), Typed("")]),
        ("qga web:/a\\ b", [Typed("qga"), Typed("web:/a b", kept=4)]),
        ("qga 'web:/a b", [Typed("qga"), Typed("web:/a b", quote="'")]),
        ("qga 'web:/a b'", [Typed("qga"), Typed("web:/a b")]),
        ('qga "web:/\\"a\\b', [Typed("qga"), Typed('web:/"a\\b', quote='"')]),
        ("qga web:'/a", [Typed("qga"), Typed("web:/a", kept=4, quote="'")]),
        ("qga x\\:y", [Typed("qga"), Typed("x:y")]),
        ("qga x\\", [Typed("qga"), Typed("x")]),
        ("qga >x y", [Typed("qga"), Typed("x", redirection=True), Typed("y")]),
        ("qga 2>>x", [Typed("qga"), Typed("x", redirection=True)]),
    ],
)
def test_words_of_a_line(line: str, words: list[Typed]) -> None:
    assert typed(line, BREAKS) == words


# Words for which nothing is offered.
FREE = {"GOAL", "MODE", "USER:GROUP"}


def test_the_words_of_every_command_are_known() -> None:
    unknown: dict[str, str] = {}
    for name in [name for topic in TOPICS.values() for name in topic]:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        names = {slot.name for slot in completing.slots(command)} - FREE - set(completing.KINDS)
        types = {(param.name or "").upper(): param.type for param in command.params}
        unknown |= {word: name for word in names if types.get(word) in {None, click.STRING}}
    assert unknown == {}


def test_the_scripts_are_printed(qga_command: Run) -> None:
    for shell, name in FILES.items():
        assert qga_command("completion", shell).text == (SCRIPTS / name).read_text()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, real_agent: AgentProcess) -> Path:
    """A user's directory, where "web" is a name of the agent; and files that the agent sees."""
    home = tmp_path_factory.mktemp("home")
    (home / "config/qga").mkdir(parents=True)
    (home / "config/qga/targets.toml").write_text(f'[targets]\nweb = "{real_agent.target}"\n')
    (home / "here").mkdir()
    (home / "here/local file").touch()
    there = real_agent.directory / "there"
    (there / "sub dir").mkdir(parents=True)
    for name in ("my file", "it's", "a:b", "plain", "sub dir/one", "x\x1b[31mred"):
        (there / name).touch()
    (there / "link").symlink_to("sub dir")
    return home


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_on_a_terminal(name: str, home: Path, real_agent: AgentProcess) -> None:
    there, target = real_agent.directory / "there", real_agent.target
    with Shell(name, home, {"QGA_TARGET": target}) as shell:
        for typed_so_far, line in {
            "qga pi": "qga ping ",
            "qga status --output=jsonl": "qga status --output=jsonl ",
            "qga cat w": "qga cat web:",
            f"qga cat :{there}/pl": f"qga cat :{there}/plain ",
            f"qga cat {target}:{there}/pl": f"qga cat {target}:{there}/plain ",
            f"qga cat web:{there}/my": f"qga cat web:{there}/my\\ file ",
            f"qga cat 'web:{there}/my": f"qga cat 'web:{there}/my file' ",
            f'qga cat "web:{there}/a': f'qga cat "web:{there}/a:b" ',
            f"qga cat web:{there}/it": f"qga cat web:{there}/it\\'s ",
            f"qga cat web:{there}/su": f"qga cat web:{there}/sub\\ dir/",
            f"qga cat web:{there}/sub\\ dir/": f"qga cat web:{there}/sub\\ dir/one ",
            f"qga cat web:{there}/li": f"qga cat web:{there}/link/",
            "qga cp ./here/lo": "qga cp ./here/local\\ file ",
            "qga call guest-file-open mo": "qga call guest-file-open mode=",
            "qga call web guest-file-seek whence=s": "qga call web guest-file-seek whence=set ",
            "qga freeze web -- cat ./here/lo": "qga freeze web -- cat ./here/local\\ file ",
        }.items():
            assert shell.completed(typed_so_far) == line
        shell.completed(f"qga cat web:{there}/", "\t\t")
        for file in ("plain", "link", "a:b"):
            assert file in shell.shown
        assert "red" not in shell.shown
