"""What holds for the whole project: its layers, version and files, and the wheel it builds."""

import ast
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from doctest import DocTestParser
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from qga._version import VERSION
from tests.support.need import need_program
from tests.support.pythons import PYTHONS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "qga"
DOCS = ROOT / "docs"
LONGEST_FILE = 420

# Imports point one way: errors, wire, protocol <- agent, client <- cli, contrib. Those in TOP may
# import whatever they like; modules in none of these rooms belong to the foundation.
TOP = {"cli", "contrib", "demo", "testing"}
MAY_NOT_IMPORT = {
    "foundation": {"agent", "client", *TOP},
    "agent": {"client", *TOP},
    "client": {"agent", *TOP},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        yield name, ast.parse(path.read_bytes(), path)


def imports(module: str, tree: ast.Module) -> Iterator[str]:
    """All that a module imports, anywhere in it: at its top, in functions, under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `a.b.__init__` is one part longer than its package, so one rule serves both.
            above = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def forbidden_import(module: str, imported: str) -> bool:
    room = module.split(".")[1]
    if room in TOP or room == "__init__":  # the root passes on everybody's public names
        return False
    if imported != "qga" and not imported.startswith("qga."):
        return False
    target = imported.split(".")[1] if "." in imported else "__init__"
    if not ((PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()):
        return True  # a public name of the root, whose home may be anywhere
    return target == "__init__" or target in MAY_NOT_IMPORT.get(room, MAY_NOT_IMPORT["foundation"])


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, tree in modules()
        for imported in imports(module, tree)
        if forbidden_import(module, imported)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("qga.wire", "import qga.agent.app"),
        ("qga.wire", "from qga import cli"),
        ("qga.wire", "import qga"),
        ("qga.wire", "from qga import Client"),
        ("qga.protocol.__init__", "from ..client import sync"),
        ("qga.protocol.files", "if TYPE_CHECKING:\n from qga.agent.app import Agent"),
        ("qga.agent.app", "def f():\n from ..client.sync import Client"),
        ("qga.client.sync", "from qga.agent import app"),
        ("qga.client.sync", "from .. import contrib"),
        ("qga.new", "from . import demo"),
    ],
)
def test_an_import_the_wrong_way_is_seen(module: str, source: str) -> None:
    assert any(forbidden_import(module, found) for found in imports(module, ast.parse(source)))


def test_version_is_the_installed_one() -> None:
    assert metadata.version("qga") == VERSION


def examples(tree: ast.Module) -> int:
    """How many lines the examples in the docstrings of a module take, with those that they add
    around them: a blank, and the quotes on a line of their own.
    """
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    lines = 0
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            found = DocTestParser().get_examples(text)
            lines += sum((each.source + each.want).count("\n") for each in found) + 2 * bool(found)
    return lines


def test_no_file_holds_two_topics() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_bytes().splitlines())
        - examples(ast.parse(path.read_bytes()))
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_contributors_find_every_module_of_the_client() -> None:
    _, _, text = (ROOT / "CONTRIBUTING.md").read_text().partition("\n  client/ ")
    text, _, _ = text.partition("\n  cli/ ")
    top, _, rest = text.partition("\n    flows/ ")
    flows, _, after = rest.partition("\n    files.py ")
    client = PACKAGE / "client"
    for folder, listed in ((client, f"{top} files.py {after}"), (client / "flows", flows)):
        names = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        assert sorted(re.findall(r"\w+\.py", listed)) == sorted(names)


def test_no_tracked_file_names_a_package_index() -> None:
    git = need_program("git", "apt-get install git")
    # The clone may be somebody else's, as in a container that mounts it.
    command = [git, "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    naming = [
        str(path.relative_to(ROOT))
        for path in paths
        if path != Path(__file__)
        and path.is_file()
        and re.search(rb"--index-url|--extra-index-url|find-links", path.read_bytes())
    ]
    assert not naming


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-q", "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.name == f"qga-{VERSION}-py3-none-any.whl"
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = f"qga-{VERSION}.data"
    assert {name.split("/")[0] for name in names} == {"qga", f"qga-{VERSION}.dist-info", data}
    # What completes the words of `qga`, where shells look for it, and for `qga completion`.
    assert {name for name in names if name.startswith(data)} == {
        f"{data}/data/share/{place}"
        for place in (
            "bash-completion/completions/qga",
            "zsh/site-functions/_qga",
            "fish/vendor_completions.d/qga.fish",
        )
    }
    assert {f"qga/cli/scripts/{name}" for name in ("qga.bash", "_qga", "qga.fish")} <= names
    sources = {path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".typed"}}
    assert PACKAGE / "py.typed" in sources
    assert {path.relative_to(PACKAGE.parent).as_posix() for path in sources} <= names
    # For `qga help`.
    written = {f"qga/protocol/commands/{path.name}" for path in DOCS.glob("commands/*.md")}
    assert "qga/protocol/commands/exec.md" in written
    assert written <= names
    assert not [name for name in names if "test" in name.replace("qga/testing/", "")]


def test_wheel_needs_nothing_else(unpacked: Path) -> None:
    (found,) = metadata.distributions(path=[str(unpacked)])
    assert [line for line in found.requires or [] if "extra ==" not in line] == []


PLUGGED = """
def test_fake(fake_agent):
    assert fake_agent.connect().read_file("/etc/hostname") == b"fake\\n"

def test_real(qga_agent):
    qga_agent.connect().ping()
"""


def test_plugin_works_where_the_wheel_is_installed(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    venv = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")]
    subprocess.run(venv, check=True)
    install = ["--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    # pytest and what it needs, from here: nothing is downloaded.
    here = Path(sysconfig.get_path("purelib"))
    there = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    for name in ("pytest", "_pytest", "py.py", "pluggy", "iniconfig", "packaging", "pygments"):
        for path in (here / name, *here.glob(f"{name}-*.dist-info")):
            (there / path.name).symlink_to(path)
    (tmp_path / "test_plugged.py").write_text(PLUGGED)
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-Werror",
        "test_plugged.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


def run_unpacked(python: str, unpacked: Path, code: str, *arguments: str) -> str:
    """What the code prints, with the wheel and the standard library alone (-S: no site)."""
    prologue = f"import sys; sys.path.insert(0, {str(unpacked)!r}); "
    command = [python, "-I", "-S", "-W", "error", "-c", prologue + code, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_wheel_imports_under_every_python(unpacked: Path) -> None:
    code = "import qga, qga._version; print(qga.__file__, qga._version.VERSION)"
    for python in PYTHONS:
        origin, version = run_unpacked(python, unpacked, code).split()
        assert (Path(origin), version) == (unpacked / "qga" / "__init__.py", VERSION), python


def test_agent_starts_under_every_python(unpacked: Path) -> None:
    code = "import runpy; runpy.run_module('qga.agent', run_name='__main__', alter_sys=True)"
    for python in PYTHONS:
        assert VERSION in run_unpacked(python, unpacked, code, "--version"), python
