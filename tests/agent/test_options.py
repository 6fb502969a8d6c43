"""The agent's command line, by getopt_long's rules."""

import pytest

from qga.agent.options import OPTIONS, UsageError, parse


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], []),
        (["-v"], [("verbose", "")]),
        (["--verbose"], [("verbose", "")]),
        (["-m", "unix-listen"], [("method", "unix-listen")]),
        (["-munix-listen"], [("method", "unix-listen")]),
        (["--method", "unix-listen"], [("method", "unix-listen")]),
        (["--method=unix-listen"], [("method", "unix-listen")]),
        (["--method="], [("method", "")]),
        (["-p", ""], [("path", "")]),
        (["-p", "-v"], [("path", "-v")]),
        (["--path", "--verbose"], [("path", "--verbose")]),
        (["--path=a=b"], [("path", "a=b")]),
        (["-p=x"], [("path", "=x")]),
        # Clusters, the last of which may take a value.
        (["-vd"], [("verbose", ""), ("daemonize", "")]),
        (["-vdp", "x"], [("verbose", ""), ("daemonize", ""), ("path", "x")]),
        (["-vpd"], [("verbose", ""), ("path", "d")]),
        # Prefixes that only one option has.
        (["--daemon"], [("daemonize", "")]),
        (["--verb"], [("verbose", "")]),
        (["--vers"], [("version", "")]),
        (["--me=x"], [("method", "x")]),
        (["--pid", "x"], [("pidfile", "x")]),
        (["--compat", "7.2"], [("compat", "7.2")]),
        (["--config", "f"], [("config", "f")]),
        # Upstream's of one name are not made ambiguous by ours.
        (["--fsf=5"], [("fsfreeze-hook", "5")]),
        (["--fsfreeze"], [("fsfreeze-hook", "")]),
        (["--fsfreeze-t", "5"], [("fsfreeze-timeout", "5")]),
        (["--c", "f"], [("config", "f")]),
        (["--com=1.0"], [("compat", "1.0")]),
        # An optional value is attached, or is none.
        (["-F"], [("fsfreeze-hook", "")]),
        (["-F/x"], [("fsfreeze-hook", "/x")]),
        (["-F", "/x", "-v"], [("fsfreeze-hook", ""), ("verbose", "")]),
        (["-vF"], [("verbose", ""), ("fsfreeze-hook", "")]),
        (["-Fv"], [("fsfreeze-hook", "v")]),
        (["--fsfreeze-hook", "/x"], [("fsfreeze-hook", "")]),
        (["--fsfreeze-hook=/x"], [("fsfreeze-hook", "/x")]),
        # Names of the past.
        (["--blacklist=a"], [("block-rpcs", "a")]),
        (["--blacklist", "a"], [("block-rpcs", "a")]),
        (["--bl", "a"], [("block-rpcs", "a")]),
        (["--b=a"], [("block-rpcs", "a")]),
        # What is no option is ignored, wherever it stands; behind -- nothing is one.
        (["word", "-v", "word", "-", "-d"], [("verbose", ""), ("daemonize", "")]),
        (["-v", "--", "-d", "--help"], [("verbose", "")]),
        # In their order, and each time.
        (["-b", "a", "-v", "-b", "c"], [("block-rpcs", "a"), ("verbose", ""), ("block-rpcs", "c")]),
        (["-h"], [("help", "")]),
    ],
)
def test_what_getopt_would_find(words: list[str], found: list[tuple[str, str]]) -> None:
    assert list(parse(words)) == found


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-x"], "unknown option '-x'"),
        (["-vx"], "unknown option '-x'"),
        (["-?"], "unknown option '-?'"),
        (["--nonsense"], "unknown option '--nonsense'"),
        (["--nonsense=1"], "unknown option '--nonsense'"),
        (["---v"], "unknown option '---v'"),
        (["--ver"], "option '--ver' is ambiguous: --version, --verbose"),
        (["--p"], "option '--p' is ambiguous: --path, --pidfile"),
        (["--verbose=1"], "option '--verbose' does not take a value"),
        (["--verb="], "option '--verbose' does not take a value"),
        (["-m"], "option '-m' needs a value"),
        (["-vm"], "option '-m' needs a value"),
        (["--me"], "option '--method' needs a value"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(parse(words))
    assert str(caught.value) == text


def test_what_stands_before_a_mistake_is_told_first() -> None:
    options = parse(["-h", "-x"])
    assert next(options) == ("help", "")
    with pytest.raises(UsageError):
        next(options)


def test_every_option_has_its_letter_for_itself() -> None:
    letters = [letter for letter, _ in OPTIONS.values() if letter]
    assert sorted(letters) == sorted(set(letters))
    assert set(letters) == set("mplvVdftFbacDrh")
