"""The public names: each is documented, and its example runs against an agent."""

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import qga
import qga.client
import qga.testing
from tests.support.examples import Stage, run_docstring

MODULES = (qga, qga.client, qga.testing)

# These have no example yet. Do not add to them.
WITHOUT_EXAMPLE = {
    f"qga.{name}"
    for name in qga.__all__
    if isinstance(getattr(qga, name), type) and issubclass(getattr(qga, name), qga.QgaError)
} | {
    "qga.AgentFrozen.named",
    "qga.BadArgument.value",
    "qga.CommandDisabled.named",
    "qga.CommandNotFound.named",
}


def owned(value: object) -> bool:
    return (getattr(value, "__module__", None) or "").startswith("qga")


def members(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class has from this project."""
    for member in dir(cls):
        if member.startswith("_"):
            continue
        home = next(base for base in cls.__mro__ if member in base.__dict__)
        # What a base of the standard library documents is known.
        if owned(home) and not any(
            hasattr(base, member) for base in cls.__mro__ if not owned(base) and base is not object
        ):
            value = inspect.getattr_static(cls, member)
            if callable(value) or isinstance(value, property | classmethod | staticmethod):
                yield f"{name}.{member}", value


def public() -> Iterator[tuple[str, Any]]:
    """All public names, each once by its shortest name."""
    seen: set[int] = set()
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) in seen or isinstance(value, str | tuple | ModuleType):
                continue
            seen.add(id(value))
            path = f"{module.__name__}.{name}"
            yield path, value
            if inspect.isclass(value) and owned(value):
                yield from members(path, value)


NAMES = dict(public())


def documentation(value: Any) -> str:
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    return inspect.getdoc(value) or ""


def test_there_are_public_names() -> None:
    assert {"qga.connect", "qga.Client.read_file", "qga.AsyncClient.execute"} <= NAMES.keys()
    assert {"qga.client.Transport.send", "qga.testing.FakeAgent.reply"} <= NAMES.keys()


def test_everything_public_is_documented() -> None:
    assert [name for name, value in NAMES.items() if not documentation(value)] == []


def needs_example(name: str) -> bool:
    """All but the methods of a Protocol, which an example of the whole shows."""
    owner = NAMES.get(name.rpartition(".")[0])
    return not getattr(owner, "_is_protocol", False)


def has_example(value: Any) -> bool:
    return ">>> " in documentation(value)


def test_everything_public_has_an_example() -> None:
    without = {
        name for name, value in NAMES.items() if needs_example(name) and not has_example(value)
    }
    assert without == WITHOUT_EXAMPLE


def operations_shown_already(name: str) -> bool:
    """Whether the blocking client shows it: operations are documented once."""
    twin = NAMES.get(name.replace("AsyncClient", "Client"))
    return name.startswith("qga.AsyncClient") and documentation(twin) == documentation(NAMES[name])


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in NAMES.items()
        if has_example(value) and not operations_shown_already(name)
    ],
)
def test_example(name: str) -> None:
    with Stage() as stage:
        assert run_docstring(stage, name, documentation(NAMES[name])) > 0


def test_modules_with_examples() -> None:
    for module in MODULES:
        text = module.__doc__ or ""
        if re.search(r"^\s*>>> ", text, re.MULTILINE):
            with Stage() as stage:
                assert run_docstring(stage, module.__name__, text) > 0
