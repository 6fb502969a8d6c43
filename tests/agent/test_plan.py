"""What is frozen, in which order, and why not the rest."""

import pytest

from qga.agent import plan
from qga.agent.plan import Pattern, Wanted
from qga.agent.system.mounts import Mount, Survey
from qga.errors import CommandError

ROOT = Mount("/", (8, 1), "ext4", "/dev/sda1")
HOME = Mount("/home", (8, 2), "xfs", "/dev/mapper/home")
DATA = Mount("/mnt/data", (8, 3), "btrfs", "/dev/sdb")
TMP = Mount("/tmp", (0, 40), "tmpfs", "tmpfs")
EVERYTHING = Wanted()


def survey(*below: set[int]) -> Survey:
    return Survey([ROOT, HOME, DATA], list(below), {1: "of note"}, [(TMP, "in memory")])


def made(
    wanted: Wanted = EVERYTHING, configured: Wanted = EVERYTHING, *below: set[int]
) -> plan.Plan:
    return plan.make(survey(*below), wanted, configured)


def paths(made: plan.Plan) -> list[str]:
    return [mount.path for mount in made.mounts]


def including(*texts: str) -> Wanted:
    return Wanted(include=plan.patterns(texts))


def excluding(*texts: str) -> Wanted:
    return Wanted(exclude=plan.patterns(texts))


def reasons(made: plan.Plan) -> dict[str, str]:
    return {mount.path: reason for mount, reason in made.others}


def test_what_was_mounted_last_is_frozen_first() -> None:
    everything = made()
    assert paths(everything) == ["/mnt/data", "/home", "/"]
    assert everything.notes == ["", "of note", ""]
    assert reasons(everything) == {"/tmp": "in memory"}


@pytest.mark.parametrize(
    ("below", "order"),
    [
        # Two in files of the last one.
        ([{2}, {2}, set()], ["/home", "/", "/mnt/data"]),
        # One in a file of one in a file.
        ([{1}, {2}, set()], ["/", "/home", "/mnt/data"]),
        ([{2}, set(), set()], ["/", "/mnt/data", "/home"]),
        ([set(), {0}, {1}], ["/mnt/data", "/home", "/"]),
        # A circle, which there cannot be.
        ([{2}, set(), {0}], ["/", "/mnt/data", "/home"]),
    ],
)
def test_what_rests_on_another_is_frozen_before_it(below: list[set[int]], order: list[str]) -> None:
    assert paths(made(EVERYTHING, EVERYTHING, *below)) == order


def test_one_rests_on_another_also_by_way_of_what_is_not_frozen() -> None:
    below: list[set[int]] = [{1}, {2}, set()]
    assert paths(made(excluding("/home"), EVERYTHING, *below)) == ["/", "/mnt/data"]


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["/"], ["/"]),
        (["/mnt/*"], ["/mnt/data"]),
        (["*"], ["/mnt/data", "/home", "/"]),
        (["/h?me", "type:btrfs"], ["/mnt/data", "/home"]),
        (["type:x*"], ["/home"]),
        (["device:/dev/sd*"], ["/mnt/data", "/"]),
        (["device:/dev/mapper/*"], ["/home"]),
        (["/mnt/*/*"], []),
    ],
)
def test_patterns(texts: list[str], order: list[str]) -> None:
    included = made(including(*texts))
    assert paths(included) == order
    left = {"/", "/home", "/mnt/data"} - set(order)
    assert {path for path, reason in reasons(included).items() if reason == "not asked for"} == left
    excluded = made(excluding(*texts))
    assert sorted([*paths(excluded), *order]) == ["/", "/home", "/mnt/data"]


def test_the_configuration_has_the_last_word() -> None:
    made_ = made(EVERYTHING, excluding("type:xfs", "/mnt/*"))
    assert paths(made_) == ["/"]
    assert reasons(made_) == {
        "/home": "excluded by configuration: type:xfs",
        "/mnt/data": "excluded by configuration: /mnt/*",
        "/tmp": "in memory",
    }
    made_ = made(EVERYTHING, including("/home"))
    assert paths(made_) == ["/home"]
    assert reasons(made_)["/"] == "not included by configuration"


def test_as_upstream_paths_are_compared_letter_by_letter() -> None:
    for path in ("/mnt/data/", "/mnt", "*", "", "/tmp"):
        assert paths(made(Wanted([path]))) == []
    assert paths(made(Wanted(["/mnt/data", "/", "/"]))) == ["/mnt/data", "/"]
    assert paths(made(Wanted([]))) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/tmp", "in memory"),
        ("/absent", "nothing is mounted there"),
        ("/mnt/data/", "nothing is mounted there"),
        ("/home", "excluded by configuration: type:xfs"),
    ],
)
def test_what_is_asked_for_by_name_and_cannot_be_frozen(text: str, reason: str) -> None:
    with pytest.raises(CommandError) as caught:
        made(including("/", text), excluding("type:xfs"))
    assert caught.value.desc == f"cannot freeze {text}: {reason}"


@pytest.mark.parametrize("text", ["", "mnt", "type:", "kind:ext4", "device:"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(CommandError, match="is no mount point, type:TYPE or device:DEVICE"):
        plan.patterns([text])


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("/a*b*c", "/aXbYbZc", True),
        ("/a*b*c", "/aXbYbZ", False),
        ("/*", "/", True),
        ("/**", "/x", True),
        ("/?", "/", False),
        ("/??", "/ab", True),
        ("/a*", "/b", False),
        ("*/data", "/mnt/data", True),
        ("/" + "*a" * 30, "/" + "a" * 200 + "b", False),
    ],
)
def test_stars(glob: str, text: str, matches: bool) -> None:
    assert Pattern(glob).matches(Mount(text, (8, 1), "ext4", "x")) is matches
