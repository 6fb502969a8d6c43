"""The public names: each is documented, and its example runs against an agent."""

import inspect
import re
from collections.abc import Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest

import qga
import qga.client
import qga.testing
from tests.support.examples import Stage, run_docstring
from tests.support.pretended_libvirt import pretended_host

MODULES = (qga, qga.client, qga.testing)


def owned(value: object) -> bool:
    return (getattr(value, "__module__", None) or "").startswith("qga")


def exported() -> dict[str, Any]:
    """What modules export, each by its first name."""
    found: dict[str, Any] = {}
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, str | tuple | ModuleType) and value not in found.values():
                found[f"{module.__name__}.{name}"] = value
    return found


def members(name: str, cls: type, classes: list[Any]) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class has from this project, and not from another
    public class.
    """
    for member in dir(cls):
        home = next(base for base in cls.__mro__ if member in base.__dict__)
        if member.startswith("_") or not owned(home) or (home is not cls and home in classes):
            continue
        # What a base of the standard library documents is known.
        if any(hasattr(base, member) for base in cls.__mro__[:-1] if not owned(base)):
            continue
        getattr(cls, member)  # which loads an operation
        value = inspect.getattr_static(cls, member)
        if callable(value) or isinstance(value, property | classmethod | staticmethod):
            yield f"{name}.{member}", value


def public() -> Iterator[tuple[str, Any]]:
    """All public names."""
    names = exported()
    classes = [value for value in names.values() if inspect.isclass(value)]
    for name, value in names.items():
        yield name, value
        if inspect.isclass(value) and owned(value):
            yield from members(name, value, classes)


NAMES = dict(public())


def documentation(value: Any) -> str:
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    return inspect.getdoc(value) or ""


def shown_by_twin(name: str) -> bool:
    """Whether the blocking twin of something asynchronous has the same documentation."""
    twin = name.replace(".Async", ".")
    return (
        twin != name and twin in NAMES and documentation(NAMES[twin]) == documentation(NAMES[name])
    )


def needs_example(name: str) -> bool:
    """All but properties, and methods for others to implement, which one example shows."""
    owner = NAMES.get(name.rpartition(".")[0])
    return not (
        isinstance(NAMES[name], property) or inspect.isabstract(owner) or shown_by_twin(name)
    )


def has_example(value: Any) -> bool:
    return ">>> " in documentation(value)


def test_there_are_public_names() -> None:
    assert {"qga.connect", "qga.Client.read_file", "qga.AsyncClient.execute"} <= NAMES.keys()
    assert {"qga.client.Transport.send", "qga.testing.FakeAgent.reply"} <= NAMES.keys()


def test_everything_public_is_documented() -> None:
    assert [name for name, value in NAMES.items() if not documentation(value)] == []


def test_everything_public_has_an_example() -> None:
    without = [
        name for name, value in NAMES.items() if needs_example(name) and not has_example(value)
    ]
    assert without == []


@pytest.mark.parametrize(
    "name",
    [name for name, value in NAMES.items() if has_example(value) and not shown_by_twin(name)],
)
def test_example(name: str, request: pytest.FixtureRequest) -> None:
    text = documentation(NAMES[name])
    code = "\n".join(re.findall(r">>> .*|\.\.\. .*", text))
    uses_real = re.search(r"\b(a?guest|folder)\b", code)
    with ExitStack() as around:
        if "libvirt:" in code:
            around.enter_context(pretended_host())
        real = request.getfixturevalue("real_agent") if uses_real else None
        stage = around.enter_context(Stage(real))
        assert run_docstring(stage, name, text) > 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_example_of_a_module(module: ModuleType) -> None:
    if has_example(module):
        with Stage() as stage:
            assert run_docstring(stage, module.__name__, documentation(module)) > 0
