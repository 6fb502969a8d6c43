"""The ready-made fsfreeze hooks, with real servers: what a snapshot during the freeze holds.

The servers are the test's own: in a directory of it, on unix sockets alone. The snapshot is a copy
of a server's files, made between "freeze" and "thaw" while it is stopped, as whoever writes is in
a frozen guest; another server is started on it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.need import need_program

pytestmark = pytest.mark.servers

HOOKS = Path(__file__).parents[2] / "packaging" / "hooks"
DISPATCHER = HOOKS.parent / "fsfreeze-hook"

PATIENCE = 120.0
NOBODY = 65534  # PostgreSQL refuses to run as root


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def running(command: list[str | Path], *, user: int | None = None) -> Iterator[int]:
    """A server, until the end of the block; yields its number."""
    process = subprocess.Popen(command, user=user, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


def stopped(process: int) -> bool:
    """Whether it runs no more: a signal to stop is only on its way when it has been sent."""
    stat = Path(f"/proc/{process}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] in "TZ"


def snapshot(server: int, data: Path, copy: Path) -> None:
    """Copy *data* while the *server* and its processes write nothing."""
    processes = [server]
    os.kill(server, signal.SIGSTOP)
    try:
        until(lambda: stopped(server))  # from then on it starts no more of them, and reaps none
        children = Path(f"/proc/{server}/task/{server}/children").read_text()
        for child in map(int, children.split()):
            os.kill(child, signal.SIGSTOP)
            processes.append(child)
            until(partial(stopped, child))
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("postmaster.pid"))
    finally:
        # The server last: it reaps those that have ended, and then their numbers are nobody's.
        for number in reversed(processes):
            os.kill(number, signal.SIGCONT)


def output(command: list[str | Path], *, user: int | None = None) -> str:
    done = subprocess.run(
        command, user=user, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True
    )
    return done.stdout.strip()


class Hook:
    """A hook as the administrator enables it: by a link, with settings beside it."""

    def __init__(self, folder: Path, name: str, settings: str) -> None:
        folder.mkdir()
        self.link = folder / name
        self.link.symlink_to(HOOKS / name)
        Path(f"{self.link}.conf").write_text(settings)

    def __call__(self, action: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.link, action],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """Its name is short enough for a socket's, and whoever runs a server may enter it."""
    with tempfile.TemporaryDirectory(prefix="qga-hook-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_the_programs_are_what_sh_takes_everywhere() -> None:
    for path in HOOKS.iterdir():
        assert path.read_text().startswith("#!/bin/sh\n")
        assert os.access(path, os.X_OK)
        subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("name", [path.name for path in HOOKS.iterdir()])
def test_without_a_server_there_is_nothing_to_do(folder: Path, name: str) -> None:
    settings = {
        "postgresql": f"user=; PGHOST={folder}; export PGHOST",
        "mysql": f"options=--socket={folder}/none; state={folder}/state",
        "redis": f"options='-s {folder}/none'",
    }
    hook = Hook(folder / "d", name, settings[name])
    if name == "postgresql":
        # What runs on this machine is not asked.
        text = hook.link.read_text().replace("pg_lsclusters", "no-such-program")
        hook.link.unlink()
        hook.link.write_text(text)
        hook.link.chmod(0o755)
    assert hook("freeze") == (0, "")
    assert hook("thaw") == (0, "")


# PostgreSQL.


@contextmanager
def postgresql(data: Path, socket: Path) -> Iterator[tuple[int, Callable[[str], str]]]:
    """A server on *data*; yields its number, and what asks it."""
    user = NOBODY if os.geteuid() == 0 else None
    listening = f"-k{socket}"
    with running([binary("postgres"), "-D", data, listening, "-h", ""], user=user) as server:
        base: list[str | Path] = [
            "psql",
            "-XAtqw",
            "-h",
            socket,
            "-d",
            "postgres",
            "-U",
            "postgres",
        ]
        ready = ["pg_isready", "-q", "-h", str(socket)]
        until(lambda: subprocess.run(ready, check=False).returncode == 0)
        yield server, lambda statement: output([*base, "-c", statement])


def binary(name: str) -> Path:
    """A program of the server, which distributions keep off the PATH."""
    for found in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True):
        return found
    return Path(need_program(name, "apt-get install postgresql"))


def test_postgresql_has_written_everything(folder: Path) -> None:
    data, copy, socket = folder / "data", folder / "copy", folder / "s"
    initdb = binary("initdb")
    socket.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.chown(socket, NOBODY, NOBODY)
    user = NOBODY if os.geteuid() == 0 else None
    output([initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"], user=user)
    hook = Hook(
        folder / "d", "postgresql", f"user=; servers={socket}:5432; PGUSER=postgres; export PGUSER"
    )
    with postgresql(data, socket) as (server, ask):
        ask("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
        written = ask("SELECT pg_current_wal_insert_lsn()")
        assert hook("freeze") == (0, "")
        snapshot(server, data, copy)
        assert hook("thaw") == (0, "")
        # From there on it would be recovered: after all that had been written.
        begins = ask("SELECT redo_lsn FROM pg_control_checkpoint()")
        assert ask(f"SELECT pg_wal_lsn_diff('{begins}', '{written}') >= 0") == "t"
    if os.geteuid() == 0:
        for path in [copy, *copy.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
    with postgresql(copy, socket) as (_, ask):
        assert ask("SELECT sum(number) FROM kept") == "500500"
    code, said = hook("freeze")
    assert code == 1
    assert f"no checkpoint of the server at {socket}:5432" in said


# MariaDB.


@contextmanager
def mariadb(data: Path, socket: Path) -> Iterator[tuple[int, list[str | Path]]]:
    """A server on *data*; yields its number, and the command that asks it."""
    server: list[str | Path] = [
        need_program("mariadbd", "apt-get install mariadb-server"),
        "--no-defaults", "--skip-networking", "--skip-grant-tables",
        f"--datadir={data}", f"--socket={socket}", f"--pid-file={data}.pid",
    ]  # fmt: skip
    if os.geteuid() == 0:
        server.append("--user=root")
    with running(server) as number:
        client: list[str | Path] = ["mariadb", "--no-defaults", f"--socket={socket}", "-BN"]
        until(socket.exists)
        yield number, [*client, "-e"]


@pytest.fixture
def maria_data(folder: Path) -> Path:
    install = need_program("mariadb-install-db", "apt-get install mariadb-server")
    data = folder / "data"
    command: list[str | Path] = [install, "--no-defaults", f"--datadir={data}", "--skip-test-db"]
    output([*command, "--user=root"] if os.geteuid() == 0 else command)
    return data


def test_mariadb_is_still_until_the_thaw(folder: Path, maria_data: Path) -> None:
    socket = folder / "s"
    with ExitStack() as stack:
        server, ask = stack.enter_context(mariadb(maria_data, socket))
        hook = Hook(
            folder / "d",
            "mysql",
            f"options='--no-defaults --socket={socket}'; state={folder}/state",
        )
        output([*ask, "CREATE DATABASE d; CREATE TABLE d.t (n INT) ENGINE = MyISAM"])
        output([*ask, "INSERT INTO d.t VALUES (1), (2), (3)"])
        assert hook("freeze") == (0, "")
        writer = subprocess.Popen([*ask, "INSERT INTO d.t VALUES (4)"])
        stack.callback(writer.wait, PATIENCE)
        stack.callback(writer.kill)
        waiting = (
            "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting%lock'"
        )
        until(lambda: output([*ask, waiting]) == "1")
        snapshot(server, maria_data, folder / "copy")
        assert writer.poll() is None
        assert hook("thaw") == (0, "")
        assert writer.wait(PATIENCE) == 0
        assert output([*ask, "SELECT sum(n) FROM d.t"]) == "10"
        assert hook("thaw") == (0, "")  # there is nothing left to undo
        # Twice, and what began the first one is not left behind.
        assert hook("freeze") == hook("freeze") == (0, "")
        assert hook("thaw") == (0, "")
        assert output([*ask, waiting]) == "0"
    with mariadb(folder / "copy", socket) as (_, ask):
        assert output([*ask, "CHECK TABLE d.t"]).endswith("status\tOK")
        assert output([*ask, "SELECT sum(n) FROM d.t"]) == "6"


def test_mariadb_goes_on_when_no_thaw_comes(folder: Path, maria_data: Path) -> None:
    socket = folder / "s"
    with mariadb(maria_data, socket) as (_, ask):
        settings = f"options='--no-defaults --socket={socket}'; state={folder}/state; limit=1"
        hook = Hook(folder / "d", "mysql", settings)
        output([*ask, "CREATE DATABASE d; CREATE TABLE d.t (n INT)"])
        assert hook("freeze") == (0, "")
        output([*ask, "INSERT INTO d.t VALUES (1)"])  # waits until the lock has ended
        # A lock that is not to be had: the tables are another one's.
        keeper = subprocess.Popen([*ask, "LOCK TABLES d.t WRITE; SELECT SLEEP(60)"])
        try:
            until(lambda: output([*ask, "SHOW OPEN TABLES IN d WHERE In_use"]))
            Path(f"{hook.link}.conf").write_text(f"{settings}; timeout=1")
            code, said = hook("freeze")
        finally:
            keeper.kill()
            keeper.wait()
        assert code == 1
        assert said.startswith("no read lock: ERROR 1205")


# Redis.


@contextmanager
def redis(data: Path, socket: Path, *more: str) -> Iterator[tuple[int, Callable[..., str]]]:
    """A server on *data*; yields its number, and what asks it."""
    server = need_program("redis-server", "apt-get install redis-server")
    data.mkdir(exist_ok=True)
    listening = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"]
    with running(
        [server, "--dir", data, "--save", "", "--loglevel", "warning", *listening, *more]
    ) as number:
        base: list[str | Path] = ["redis-cli", "-s", socket]
        until(socket.exists)
        yield number, lambda *words: output([*base, *words])


@pytest.mark.parametrize("log", [False, True])
def test_redis_has_saved_everything(folder: Path, log: bool) -> None:
    data, copy, socket = folder / "data", folder / "copy", folder / "s"
    more = ("--appendonly", "yes") if log else ()
    with redis(data, socket, *more) as (server, ask), ExitStack() as stack:
        hook = Hook(folder / "d", "redis", f"options='-s {socket}'")
        assert ask("SET", "one", "1") == "OK"
        assert hook("freeze") == (0, "")
        writer = subprocess.Popen(["redis-cli", "-s", socket, "SET", "two", "2"])
        stack.callback(writer.wait, PATIENCE)
        stack.callback(writer.kill)
        until(lambda: "blocked_clients:1" in ask("INFO", "clients"))
        snapshot(server, data, copy)
        assert hook("thaw") == (0, "")
        assert writer.wait(PATIENCE) == 0
        assert ask("GET", "two") == "2"
    with redis(copy, socket, *more) as (_, ask):
        assert (ask("GET", "one"), ask("GET", "two")) == ("1", "")


def test_redis_that_cannot_save(folder: Path) -> None:
    socket = folder / "s"
    with redis(folder / "data", socket, "--requirepass", "secret"):
        hook = Hook(folder / "d", "redis", f"options='-s {socket}'; timeout=2")
        assert hook("freeze") == (1, "NOAUTH Authentication required.\n")
        settings = Path(f"{hook.link}.conf")
        settings.write_text(settings.read_text() + "; REDISCLI_AUTH=secret")
        assert hook("freeze") == (0, "")
        assert hook("thaw") == (0, "")
        (folder / "data/dump.rdb").unlink()
        (folder / "data/dump.rdb").mkdir()
        code, said = hook("freeze")
        assert (code, said.endswith("the data was not saved\n")) == (1, True)
        # Nobody is held up because of that.
        client: list[str | Path] = [
            "redis-cli",
            "-s",
            socket,
            "-a",
            "secret",
            "--no-auth-warning",
            "SET",
            "a",
            "b",
        ]
        assert "blocked" not in output(client)


def test_they_are_run_by_the_program_of_the_agent(folder: Path) -> None:
    """By name, in the directory beside it, and their settings are not taken for programs."""
    program = folder / "fsfreeze-hook"
    shutil.copy(DISPATCHER, program)
    data, socket = folder / "data", folder / "s"
    with redis(data, socket) as (_, ask):
        Hook(folder / "fsfreeze-hook.d", "redis", f"options='-s {socket}'")
        ask("SET", "one", "1")
        output([program, "freeze"])
        assert (data / "dump.rdb").exists()
        output([program, "thaw"])
        assert ask("SET", "two", "2") == "OK"
