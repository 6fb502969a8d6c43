"""The Debian package as a file: what is in it, and that it is built the same each time."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import qga
from qga._version import VERSION
from tests.support.need import need_program
from tests.support.pythons import PYTHONS
from tests.support.stock import running

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "packaging" / "build_deb.py"
PRIVATE = "usr/lib/qga-agent"


def built(directory: Path, umask: int, **variables: str) -> Path:
    need_program("dpkg-deb", "apt-get install dpkg")
    done = subprocess.run(
        [sys.executable, str(BUILDER), str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        umask=umask,
        env={**os.environ, **variables},
    )
    return Path(done.stdout.rstrip("\n"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("deb"), 0o022)


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


def test_it_is_the_same_each_time(package: Path, tmp_path: Path) -> None:
    assert package.read_bytes() == built(tmp_path / "again", 0o077).read_bytes()
    other = built(tmp_path / "other", 0o022, SOURCE_DATE_EPOCH="1000000000")
    assert package.read_bytes() != other.read_bytes()


def test_what_it_says_of_itself(package: Path) -> None:
    assert package.name == f"qga-agent_{VERSION}_all.deb"
    fields = ("Package", "Version", "Architecture", "Depends", "Provides", "Conflicts", "Replaces")
    show = ["dpkg-deb", "-f", str(package), *fields]
    said = subprocess.run(show, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.splitlines() == [
        "Package: qga-agent",
        f"Version: {VERSION}",
        "Architecture: all",
        "Depends: python3 (>= 3.11)",
        "Provides: qemu-guest-agent",
        "Conflicts: qemu-guest-agent",
    ]


def test_the_files_are_roots_and_readable(package: Path) -> None:
    command = ["dpkg-deb", "-c", str(package)]
    listing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in listing.splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root", line
        assert mode in {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"}, line


def test_it_holds_the_agent_alone(unpacked: Path) -> None:
    modules = unpacked / PRIVATE / "qga"
    assert sorted(path.name for path in modules.iterdir()) == [
        "__init__.py", "_version.py", "agent", "errors.py", "protocol", "wire",
    ]  # fmt: skip
    assert not (modules / "agent/system/fake.py").exists()
    assert not list(unpacked.rglob("*.pyc"))


def test_hooks_are_configuration_files(unpacked: Path) -> None:
    shipped = {
        f"/etc/qemu/{path.relative_to(BUILDER.parent)}"
        for top in BUILDER.parent.glob("fsfreeze-hook*")
        for path in ([top] if top.is_file() else top.rglob("*"))
    }
    listed = (unpacked / "DEBIAN/conffiles").read_text(encoding="ascii").splitlines()
    assert set(listed) == shipped
    for name in shipped:
        assert (unpacked / name[1:]).is_file()


def test_every_ready_made_hook_is_there(unpacked: Path) -> None:
    shipped = sorted((BUILDER.parent / "hooks").iterdir())
    installed = sorted((unpacked / "usr/share/qga-agent/hooks").iterdir())
    assert [path.read_text() for path in installed] == [path.read_text() for path in shipped]
    assert all(os.access(path, os.X_OK) for path in installed)


def test_the_checksums_are_right(unpacked: Path) -> None:
    check = ["md5sum", "--check", "--quiet", "--strict", "DEBIAN/md5sums"]
    assert subprocess.run(check, cwd=unpacked, check=True, capture_output=True).stdout == b""


def test_every_module_that_the_agent_may_load_is_there(unpacked: Path) -> None:
    code = (
        "import importlib, pathlib, sys; root = pathlib.Path(sys.argv[1]); "
        "sys.path.insert(0, str(root)); "
        "names = ['.'.join(p.relative_to(root).with_suffix('').parts) "
        "for p in root.rglob('*.py')]; "
        "[importlib.import_module(n.removesuffix('.__init__')) for n in names]; print(len(names))"
    )
    for python in PYTHONS:
        command = [python, "-I", "-S", "-B", "-W", "error", "-c", code, str(unpacked / PRIVATE)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        assert int(done.stdout) > 30, python


def test_the_launcher(unpacked: Path) -> None:
    """With its modules where they are here, since they are not installed."""
    launcher = (unpacked / "usr/sbin/qga-agent").read_text(encoding="utf-8")
    assert launcher.startswith("#!/usr/bin/python3 -ISB\n")
    assert f'"/{PRIVATE}"' in launcher
    moved = launcher.replace(f"/{PRIVATE}", str(unpacked / PRIVATE))
    command = [sys.executable, "-ISB", "-c", moved, "--version"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert re.fullmatch(rf"QEMU Guest Agent [\d.]+ \(qga {re.escape(VERSION)}\)\n", said)
    assert (unpacked / "usr/sbin/qemu-ga").readlink() == Path("qga-agent")


def test_scripts_are_shell_that_parses(unpacked: Path) -> None:
    scripts = [unpacked / "DEBIAN" / name for name in ("postinst", "prerm", "postrm")]
    for script in [*scripts, *unpacked.rglob("*.rtupdate")]:
        assert os.access(script, os.X_OK)
        subprocess.run(["/bin/sh", "-n", script], check=True)


@pytest.mark.parametrize(
    ("version", "debian"),
    [("1.2.3", "1.2.3"), ("1.0rc1", "1.0~rc1"), ("1.0.dev4", "1.0~dev4"), ("1.0a2", "1.0~a2")],
)
def test_what_comes_before_a_release_sorts_before_it(
    version: str, debian: str, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BUILDER.parent)!r}); import build_deb, pathlib; "
        f"build_deb.SOURCE = pathlib.Path({str(tmp_path)!r}); print(build_deb.version())"
    )
    (tmp_path / "_version.py").write_text(f'VERSION = "{version}"\n', encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == f"{debian}\n"


def test_pybase64_beside_the_modules(unpacked: Path, tmp_path: Path) -> None:
    """As `pip install --target` puts it there; it is loaded when it is needed."""
    private = tmp_path / "private"
    shutil.copytree(unpacked / PRIVATE, private)
    found = find_spec("pybase64")
    assert found is not None
    assert found.origin is not None
    shutil.copytree(Path(found.origin).parent, private / "pybase64")
    launcher = (unpacked / "usr/sbin/qga-agent").read_text(encoding="utf-8")
    moved = launcher.replace(f"/{PRIVATE}", str(private))
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    with running([sys.executable, "-ISB", "-c", moved]) as agent:
        maps = Path(f"/proc/{agent.process.pid}/maps")
        with qga.connect(agent.target) as client:
            client.ping()
            assert "_pybase64" not in maps.read_text(encoding="utf-8")
            assert client.read_file(tmp_path / "file") == bytes(1 << 20)
        assert str(private / "pybase64/_pybase64") in maps.read_text(encoding="utf-8")
