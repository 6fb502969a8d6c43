"""The hooks of the fake agent are told, and tell, what those of the real one do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.testing import FakeAgent
from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer
from tests.agent.hookfolder import HookFolder

SETTINGS = "[hook:a]\nrequired=true\n[hook:b]\norder=-1\ntimeout=1\n"

# What hooks do when told something: the exit code, or None for one that hangs.
CASES: dict[str, dict[str, int | None]] = {
    "all is well": {},
    "one fails": {"b freeze": 3, "b thaw": 4},
    "one that is required fails": {"a freeze": 3},
    "a thaw fails": {"a thaw": 7},
    "one hangs": {"b freeze": None},
}


def conversation(ask: Callable[..., Any]) -> list[Any]:
    """What an agent says of a freeze and its thaw, without times."""
    said = [ask("qga-fsfreeze-freeze", **{"dry-run": True})["planned-hooks"]]
    for name in ("qga-fsfreeze-freeze", "qga-fsfreeze-report", "qga-fsfreeze-thaw") * 2:
        token = {} if name == "qga-fsfreeze-report" else {"token": "t"}
        said.append(ask(name, **token))
        if isinstance(said[-1], dict):
            runs = [{**run, "milliseconds": 0} for run in said[-1].get("hooks", ())]
            said[-1] = {key: said[-1].get(key) for key in ("state", "count", "held", "end")}
            said[-1]["hooks"] = runs
    return said


def asks(client: qga.Client) -> Callable[..., Any]:
    def ask(name: str, **arguments: Any) -> Any:
        try:
            return client.call(name, arguments)
        except qga.CommandError as error:
            return error.desc

    return ask


@pytest.mark.parametrize("failing", CASES.values(), ids=CASES)
def test_it_is_as_with_the_real_one(
    start: Starter, tmp_path: Path, failing: dict[str, int | None]
) -> None:
    (tmp_path / "disks").mkdir()
    real = HookFolder(start, FileFreezer(tmp_path / "disks"))
    fake = FakeAgent()
    add = fake.freezing.add_hook
    hooks = {"a": add("a", required=True), "b": add("b", order=-1, timeout=1), "c": add("c")}
    bodies = dict.fromkeys(hooks, "")
    for what, code in failing.items():
        name, action = what.split()
        end = "echo no; sleep 600" if code is None else f"echo no; exit {code}"
        bodies[name] += f"[ $1 != {action} ] || {{ {end}; }}\n"
        hooks[name].fail(action, exit_code=code or 0, output="no\n", hang=code is None)
    for name, body in bodies.items():
        real.write(name, body)
    agent = real.start(SETTINGS)
    with qga.connect(f"unix:{agent.path}") as client:
        expected = conversation(asks(client))
    assert conversation(asks(fake.connect())) == expected
    for name, hook in hooks.items():
        told = [event.split()[1] for event in real.events() if event.split()[0] == name]
        assert hook.told == [word.removesuffix("frozen") for word in told]
    assert fake.state == "thawed"
    assert not real.freezer.frozen()
