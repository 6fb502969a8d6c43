"""Files of many guests, and words that mean none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.cli import places
from qga.testing import FakeAgent

from .command import Run


@pytest.fixture(autouse=True)
def guests(qga_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The names web1 and web2, and db, whose agent is not there."""
    names = tmp_path / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    first, second = FakeAgent(), FakeAgent()
    for number, agent in enumerate((first, second), 1):
        agent.files["/name"] = b"web%d\n" % number
        agent.files["/log"] = b"".join(b"%d\t%d\x1b\n" % (number, line) for line in range(20))
    first.files["/only"] = b"first"
    with first.serve() as one, second.serve() as other:
        names.write_text(
            f'[targets]\nweb1 = "{one}"\nweb2 = "{other}"\ndb = "unix:{tmp_path}/none"\n'
        )
        yield


def test_each_line_has_its_guest(qga_command: Run) -> None:
    done = qga_command("cat", "-l", "web*", ":/name", ":/only", lines=2)
    assert done.code == 1
    assert sorted(done.text.splitlines()) == ["web1: first", "web1: web1", "web2: web2"]
    failed, summary = done.err.splitlines()
    assert failed.startswith("qga: web2: failed to open file '/only'")
    assert summary == "qga: 2 guests: 1 done, 1 failed (web2)"
    done = qga_command("tail", "-2", "--all", ":/log", lines=2)
    assert {"web1: 1\t18\\x1b", "web2: 2\t19\\x1b"} < {*done.text.splitlines()}
    assert "qga: db: cannot open db" in done.err
    done = qga_command("head", "-n1", "web1:/log", "web2:/log", "-o", "json")
    assert [record["guest"] for record in done.json] == ["web1", "web2"]
    assert done.json[0]["result"] == {"path": "/log", "count": 5, "buf-b64": "MQkwGwo="}


def test_cat_keeps_the_order_of_the_words(qga_command: Run) -> None:
    done = qga_command("cat", "web2:/name", "web1:/name", "web2:/name")
    assert done.out == b"web2\nweb1\nweb2\n"
    done = qga_command("cat", "web1:/none", "web1:/name")
    assert (done.code, done.out) == (1, b"web1\n")


def test_one_guest_that_is_meant_by_a_pattern(qga_command: Run) -> None:
    assert qga_command("cat", "-l", "web1", ":/name").text == "web1: web1\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["cat", "--all", "web1:/x"], "with --limit or --all it is :PATH"),
        (["cat", "--all", ":"], "with --limit or --all it is :PATH"),
        (["ls", "web1:"], "is not TARGET:PATH"),
        (["ls"], "Missing argument"),
        (["ls", "--all", ":x"], "the path 'x' is not absolute"),
        (["edit", "--all", ":/x"], "No such option"),
        (["mkdir", "-m", "9", "web1:/x"], "'9' is no mode"),
        (["chmod", "u=k", "web1:/x"], "'u=k' is no mode"),
        (["chown", ":", "web1:/x"], "is no owner"),
        (["chown", "a:", "web1:/x"], "is no owner"),
        (["chown", "a:b:c", "web1:/x"], "is no owner"),
        (["ln", "x", "web1:/y"], "ln -s"),
        (["mv", "web1:/x"], "what is to go where?"),
        (["mv", "web1:/x", "web2:/x"], "to another guest it is `qga cp`"),
        (["mv", "-i", "-l", "web*", ":/x", ":/y"], "-i asks about one guest"),
        (["rm", "web1:/"], "name the file or directory itself"),
        (["rm", "-rf", "web1:/etc/.."], "name the file or directory itself"),
        (["rm", "-rf", "--glob", "web1:/etc/."], "name the file or directory itself"),
        (["rm", "-i", "--all", ":/x"], "-i asks about one guest"),
        (["rm", "--all", ":/x"], "remove files of 3 guests (db, web1, web2)? --yes"),
        (["find", "web1:/", "-type", "x"], "none of f, d, l"),
        (["find", "web1:/", "-size", "1T"], "is no size"),
        (["find", "web1:/", "-mtime", "new"], "is no number"),
        (["du", "-s", "-a", "web1:/"], "neither -a nor -d"),
        (["tail", "-f", "-o", "json", "web1:/x"], "-f goes with -o jsonl"),
        (["tail", "-n", "x", "web1:/x"], "is no number"),
        (["stat", "-c", "%Z", "web1:/x"], "has no %Z"),
    ],
)
def test_wrong_usage(qga_command: Run, words: list[str], why: str) -> None:
    done = qga_command(*words)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err


def test_names_in_json() -> None:
    assert places.fields("path", "/ä") == {"path": "/ä"}
    assert places.fields("path", None) == {"path": None}
    assert places.fields("path", "/\udcff") == {"path": "/\ufffd", "path-b64": b"/\xff"}


def test_where_no_program_may_be_run_names_are_taken_as_they_are(qga_command: Run) -> None:
    done = qga_command("cat", "web1:/n*")
    assert (done.code, "'/n*'" in done.err) == (1, True)
    done = qga_command("ls", "web1:/")
    assert (done.code, "the guest has no /bin/sh" in done.err) == (3, True)
