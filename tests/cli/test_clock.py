"""`qga time` and `qga trim`, with agents that only pretend."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import qga
from qga.protocol import Fstrim, GetTimezone, SetTime
from qga.protocol.clock import Timezone
from qga.protocol.storage import TrimResponse, TrimResult
from qga.testing import FakeAgent

from .command import Run


@pytest.fixture
def target(fake_agent: FakeAgent) -> Iterator[str]:
    with fake_agent.serve() as target:
        yield target


def test_clocks_side_by_side(qga_command: Run, fake_agent: FakeAgent, target: str) -> None:
    fake_agent.guest.clock_offset = -3600
    fake_agent.guest.timezone = Timezone(zone="CET", offset=7200)
    found = qga_command("time", target, "-o", "json").json
    assert found.keys() == {"guest", "host", "offset", "uncertainty", "round_trip", "timezone"}
    assert found["offset"] == pytest.approx(-3600, abs=found["uncertainty"] + 0.001)
    assert found["timezone"] == {"zone": "CET", "offset": 7200}
    guest, host = (datetime.fromisoformat(found[name]) for name in ("guest", "host"))
    assert (guest - host).total_seconds() == pytest.approx(found["offset"], abs=0.001)
    assert guest.tzinfo == UTC
    lines = qga_command("time", target).text.splitlines()
    assert [line.split()[0] for line in lines] == ["clock", "guest", "there", "this", "difference"]
    assert lines[2].endswith(" CET")
    assert "3600.0 s (1:00:00) behind" in lines[-1]
    fake_agent.reply(GetTimezone, qga.CommandError("no"))
    fake_agent.guest.clock_offset = 0
    assert qga_command("time", target, "-o", "json").json["timezone"] is None
    assert "the same, within " in qga_command("time", target).text


def test_setting_it(qga_command: Run, fake_agent: FakeAgent, target: str) -> None:
    fake_agent.guest.clock_offset = 90
    text = qga_command("time", "--sync", "--dry-run", target).text
    assert text.startswith("would set the guest's clock to this machine's; it is 90.0 s ahead")
    assert "to its hardware clock;" in (
        qga_command("time", "--sync", "--from-rtc", "--dry-run", target).text
    )
    assert not fake_agent.asked(SetTime)
    found = qga_command("time", "--sync", target, "-o", "json").json
    assert found.keys() == {"source", "before", "after", "warning"}
    assert (found["source"], found["warning"]) == ("host", "")
    assert found["before"]["offset"] == pytest.approx(90, abs=1)
    assert abs(found["after"]["offset"]) < 60
    text = qga_command("time", "--sync", "--from-rtc", target).text
    assert text.startswith("was ")
    assert [each.time is None for each in fake_agent.asked(SetTime)] == [False, True]
    fake_agent.blocked.add("guest-set-time")
    done = qga_command("time", "--sync", "--dry-run", target, lines=0)
    assert (done.code, "the agent does not allow guest-set-time" in done.text) == (1, True)
    assert qga_command("time", "--sync", target).code == 1


@pytest.mark.parametrize("option", ["--from-rtc", "--dry-run"])
def test_what_goes_with_setting_it(qga_command: Run, option: str) -> None:
    done = qga_command("time", option, "unix:/s")
    assert (done.code, f"{option} goes with --sync" in done.err) == (2, True)


def test_trim(qga_command: Run, fake_agent: FakeAgent, target: str) -> None:
    lines = qga_command("trim", target, "--minimum", "64K").text.splitlines()
    assert lines[0].split() == ["mount", "point", "trimmed", "why", "not"]
    assert lines[1].split() == ["/srv", "37.0", "GiB"]
    assert fake_agent.asked(Fstrim)[-1].minimum == 65536
    fake_agent.reply(
        Fstrim,
        TrimResponse(
            paths=[
                TrimResult(path="/boot", error="trim not supported"),
                TrimResult(path="/", trimmed=1 << 20, minimum=0),
            ]
        ),
    )
    found = qga_command("trim", target, "-o", "json").json
    assert found == [
        {"mountpoint": "/", "trimmed": 1 << 20, "minimum": 0, "error": None},
        {"mountpoint": "/boot", "trimmed": None, "minimum": None, "error": "trim not supported"},
    ]
    fake_agent.reply(Fstrim, TrimResponse(paths=[TrimResult(path="/", error="failed to trim: x")]))
    done = qga_command("trim", target, lines=0)
    assert (done.code, done.text.splitlines()[1].split()[1:]) == (1, ["failed", "to", "trim:", "x"])
    fake_agent.version = "2.3"  # which does not tell
    fake_agent.reply(Fstrim, TrimResponse())
    assert qga_command("trim", target).text.startswith("done; ")
    asked = len(fake_agent.asked(Fstrim))
    assert qga_command("trim", target, "--dry-run").text == "would trim\n"
    assert len(fake_agent.asked(Fstrim)) == asked
    done = qga_command("trim", target, "--minimum", "1X")
    assert (done.code, "is no size" in done.err) == (2, True)
