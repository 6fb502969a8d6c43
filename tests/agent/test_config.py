"""The agent's settings: the file, the command line, and which of them counts."""

from pathlib import Path

import pytest

from qga.agent.config import METHODS, Config, ConfigError
from qga.protocol import UPSTREAM_VERSION

ALL_KEYS = """\
[general]
daemon=true
method=unix-listen
path=/run/agent
logfile=/var/log/agent
pidfile=/run/agent.pid
fsfreeze-hook=/etc/hook
statedir=/var/lib/agent
verbose=true
retry-path=true
block-rpcs=guest-ping,guest-info
allow-rpcs=guest-sync
fsfreeze-timeout=30
fsfreeze-mount-timeout=7.5
fsfreeze-include=/,/mnt/*
fsfreeze-exclude=type:xfs,device:/dev/sd*
compat=7.2
"""


def from_text(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "agent.conf"
    path.write_text(text, encoding="utf-8")
    config = Config()
    config.read_file(str(path))
    return config


def test_what_is_dumped_reads_back_the_same(tmp_path: Path) -> None:
    once = from_text(tmp_path, ALL_KEYS).dump()
    # Upstream's dump turns each list round.
    assert once == ALL_KEYS.replace("guest-ping,guest-info", "guest-info,guest-ping")
    assert from_text(tmp_path, once).dump() == ALL_KEYS
    default = Config().dump()
    assert from_text(tmp_path, default).dump() == default


def test_defaults() -> None:
    assert Config().dump() == (
        "[general]\n"
        "daemon=false\n"
        "method=virtio-serial\n"
        "path=/dev/virtio-ports/org.qemu.guest_agent.0\n"
        "pidfile=/var/run/qemu-ga.pid\n"
        "statedir=/var/run\n"
        "verbose=false\n"
        "retry-path=false\n"
        "block-rpcs=\n"
        "allow-rpcs=\n"
        "fsfreeze-timeout=600\n"
        "fsfreeze-mount-timeout=120\n"
        f"compat={UPSTREAM_VERSION}\n"
    )


HOOKS = """[general]
fsfreeze-hook-dir=/etc/hooks
[hook:10 database]
 timeout = 5
required=true
[hook:]
timeout=none
[hook:a:b]
order=-3
unknown=x
"""


def test_how_hooks_are_to_be_run(tmp_path: Path) -> None:
    config = from_text(tmp_path, HOOKS)
    assert config.fsfreeze_hook_dir == "/etc/hooks"
    assert {name: each.lines() for name, each in config.hooks.items()} == {
        "10 database": ["timeout=5", "order=0", "required=true"],
        "a:b": ["timeout=120", "order=-3", "required=false"],
    }
    dumped = config.dump()
    assert dumped.endswith(
        "\n\n[hook:10 database]\ntimeout=5\norder=0\nrequired=true\n"
        "\n[hook:a:b]\ntimeout=120\norder=-3\nrequired=false\n"
    )
    assert from_text(tmp_path, dumped).dump() == dumped


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("timeout=0", "timeout is a number of seconds up to 86400, not '0'"),
        ("timeout=nan", "timeout is a number of seconds up to 86400, not 'nan'"),
        ("order=first", "order is a whole number, not 'first'"),
        ("required=maybe", "required is true or false, not 'maybe'"),
    ],
)
def test_how_hooks_cannot_be_run(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_text(tmp_path, f"[hook:x]\n{line}\n")
    assert str(caught.value) == f"{tmp_path}/agent.conf, line 2: {reason}"


def test_hooks_that_are_not_run(tmp_path: Path) -> None:
    def warnings(text: str) -> list[str]:
        config = from_text(tmp_path, text)
        config.check_hooks()
        return config.warnings

    assert warnings("[hook:x]\n") == ["groups [hook:NAME] have no effect without fsfreeze-hook-dir"]
    both = "[general]\nfsfreeze-hook-dir=/etc/qemu/fsfreeze-hook.d/\nfsfreeze-hook="
    (warning,) = warnings(f"{both}/etc/qemu/fsfreeze-hook\n")
    assert warning.startswith("fsfreeze-hook /etc/qemu/fsfreeze-hook is not run: it would run the")
    assert warnings(f"{both}/etc/fsfreeze-hook\n[hook:x]\n") == []


def test_which_file_systems_may_be_frozen(tmp_path: Path) -> None:
    config = from_text(tmp_path, "[general]\nfsfreeze-exclude= type:xfs , /mnt/*\n")
    wanted = config.freezable()
    assert wanted.include is None
    assert [pattern.text for pattern in wanted.exclude] == ["type:xfs", "/mnt/*"]
    for key in ("include", "exclude"):
        with pytest.raises(ConfigError, match=f"fsfreeze-{key}: 'x' is no mount point, type:TYPE"):
            from_text(tmp_path, f"[general]\nfsfreeze-{key}=/,x\n")
    with pytest.raises(ConfigError, match="fsfreeze-mount-timeout is a number of seconds up to"):
        from_text(tmp_path, "[general]\nfsfreeze-mount-timeout=0\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# nothing\n",
        "[general]\n",
        "[other]\nverbose=nonsense\nmethod=x\n",
        "[general]\nunknown=\\q\npath[de]=x\n[other]\ndaemon=5\n[ general ]\nmethod=x\n",
        "# méthode\n[general]\n  # path=x\n",
    ],
)
def test_what_is_not_known_is_ignored(tmp_path: Path, text: str) -> None:
    assert from_text(tmp_path, text).dump() == Config().dump()


def test_bytes_that_nobody_asks_for_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "agent.conf"
    path.write_bytes(b"[general]\r\n# caf\xe9\r\nother=caf\xe9\r\npath=/x\r\n")
    config = Config()
    config.read_file(str(path))
    assert config.path == "/x"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\sb", "a b"),
        (r"\s\sa b\s", "  a b "),
        (r"a\tb\nc\rd\\\\e", "a\tb\nc\rd\\\\e"),
        (r"a\\", "a\\"),
        ("# no comment = a value", "# no comment = a value"),
        ("café", "café"),
        ("", ""),
    ],
)
def test_escapes_in_values(tmp_path: Path, written: str, meant: str) -> None:
    config = from_text(tmp_path, f"[general]\nlogfile={written}\n")
    assert config.logfile == meant
    again = from_text(tmp_path, config.dump())
    assert again.logfile == meant


def test_of_one_key_the_last_line_counts(tmp_path: Path) -> None:
    config = from_text(
        tmp_path, "[general]\nblock-rpcs=a,b\npath=x\n[general]\nblock-rpcs=c\npath=y\n"
    )
    assert (config.blocked, config.path) == (["c"], "y")


def test_the_old_name_of_the_block_list_replaces_the_new_one(tmp_path: Path) -> None:
    config = from_text(tmp_path, "[general]\nblacklist=a,b\nblock-rpcs=c\n")
    assert config.blocked == ["b", "a"]
    (warning,) = config.warnings
    assert "agent.conf, line 2: blacklist, the old name" in warning


def test_a_list_without_names_is_not_the_empty_list(tmp_path: Path) -> None:
    config = from_text(tmp_path, "[general]\nblock-rpcs=\nallow-rpcs=,\n")
    assert (config.blocked, config.allowed) == ([], ["", ""])


def test_blanks_around_keys_and_values(tmp_path: Path) -> None:
    config = from_text(
        tmp_path,
        " [general] \n  method =  unix-listen\n\tpath\t=\ta b=c \nverbose= 1 \ncompat= 7.2 \n",
    )
    # Those behind a text belong to it.
    assert (config.method, config.path) == ("unix-listen", "a b=c ")
    assert (config.verbose, config.compat) == (True, (7, 2))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("verbose=yes", "verbose is true or false, not 'yes'"),
        ("daemon=", "daemon is true or false, not ''"),
        ("retry-path=TRUE", "retry-path is true or false, not 'TRUE'"),
        ("nonsense", "neither [group] nor key=value: nonsense"),
        ("=x", "neither [group] nor key=value: =x"),
        ("[a]b]", "no name of a group: [a]b]"),
        ("[]", "no name of a group: []"),
        ("a[b=c", "no name of a key: a[b"),
        (r"path=a\q", r"there is no escape \q, write \\ for a backslash: a\q"),
        ("path=a\\", "a lone backslash at the end, write \\\\ for a backslash: a\\"),
        ("path=a\0b", "a NUL in the value"),
        ("verbose=\\strue", "verbose is true or false, not '\\strue'"),
        ("compat=new", "compat is a version such as 7.2, not 'new'"),
        ("compat=0.14", f"compat is a version from 0.15 to {UPSTREAM_VERSION}, not 0.14"),
        ("compat=99.0", f"compat is a version from 0.15 to {UPSTREAM_VERSION}, not 99.0"),
        *(
            (
                f"fsfreeze-timeout={value}",
                f"fsfreeze-timeout is a number of seconds up to 86400, not '{value}'",
            )
            for value in ("", "0", "-1", "ten", "nan", "inf", "86401", "1e99")
        ),
    ],
)
def test_a_bad_line_is_told_by_its_number(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_text(tmp_path, f"[general]\n\n{line}\n")
    assert str(caught.value) == f"{tmp_path}/agent.conf, line 3: {reason}"


def test_a_file_that_is_no_key_file(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "groupless").write_bytes(b"method=isa-serial\n")
    (tmp_path / "latin").write_bytes(b"[general]\npath=caf\xe9\n")
    for name, reason in (
        ("bad", r"bad, line 1: neither \[group\] nor key=value"),
        ("groupless", "groupless, line 1: in no group: method=isa-serial"),
        ("latin", r"latin, line 2: not UTF-8: caf\\xe9"),
        (".", "cannot read .*: Is a directory"),
    ):
        with pytest.raises(ConfigError, match=reason):
            Config().read_file(str(tmp_path / name))


def test_the_command_line_beats_the_file_and_lists_add_up(tmp_path: Path) -> None:
    config = from_text(tmp_path, ALL_KEYS)
    config.read_options([
        ("method", "isa-serial"), ("method", "vsock-listen"), ("path", "3:5"),
        ("block-rpcs", "x, y"), ("block-rpcs", "z,"), ("allow-rpcs", ""), ("verbose", ""),
        ("compat", "1.0"), ("fsfreeze-timeout", "0.5"), ("version", ""), ("config", "c"),
    ])  # fmt: skip
    assert (config.method, config.path) == ("vsock-listen", "3:5")
    assert config.blocked == ["guest-info", "guest-ping", "y", "x", "", "z"]
    assert config.allowed == ["guest-sync"]
    assert config.verbose
    assert config.logfile == "/var/log/agent"
    assert (config.compat, config.reported_version) == ((1, 0), "1.0")
    assert config.fsfreeze_timeout == 0.5


def test_flags_of_the_command_line_turn_on(tmp_path: Path) -> None:
    config = from_text(tmp_path, "[general]\ndaemon=0\nverbose=false\nretry-path=0\n")
    config.read_options([("daemonize", ""), ("verbose", ""), ("retry-path", "")])
    assert (config.daemon, config.verbose, config.retry_path) == (True, True, True)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("virtio-serial", None, "/dev/virtio-ports/org.qemu.guest_agent.0"),
        ("isa-serial", None, "/dev/ttyS0"),
        ("isa-serial", "", ""),
        ("isa-serial", "/dev/ttyS1", "/dev/ttyS1"),
        ("unix-listen", "/run/x", "/run/x"),
    ],
)
def test_where_the_channel_is(method: str, path: str | None, found: str) -> None:
    config = Config()
    config.method, config.path = method, path
    assert config.channel_path() == found


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("unix-listen", "must specify a path for this channel: unix-listen needs -p"),
        ("vsock-listen", "must specify a path for this channel: vsock-listen needs -p"),
    ],
)
def test_a_channel_that_is_nowhere(method: str, text: str) -> None:
    config = Config()
    config.method = method
    for use in (config.channel_path, config.dump):
        with pytest.raises(ConfigError) as caught:
            use()
        assert str(caught.value) == text


def test_a_channel_of_an_unknown_kind() -> None:
    config = Config()
    config.method = "carrier-pigeon"
    with pytest.raises(ConfigError) as caught:
        config.channel_method()
    assert str(caught.value) == (
        f"unknown method 'carrier-pigeon': it is one of {', '.join(METHODS)}"
    )


def test_a_daemons_paths_do_not_depend_on_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.path, config.statedir, config.pidfile = "socket", "state", "/run/pid"
    config.fsfreeze_hook = "hook"
    config.make_absolute()
    assert (config.path, config.statedir) == (f"{tmp_path}/socket", f"{tmp_path}/state")
    assert (config.pidfile, config.logfile) == ("/run/pid", None)
    assert config.fsfreeze_hook == f"{tmp_path}/hook"
    config.method, config.path = "vsock-listen", "3:5"
    config.make_absolute()
    assert config.path == "3:5"
