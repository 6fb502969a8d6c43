"""Handlers of `qga.protocol.accounts`."""

from qga.agent.later import LastText, Pending, Text
from qga.errors import BadArgument, CommandError
from qga.protocol.accounts import (
    AuthorizedKeys,
    GetUsers,
    SetUserPassword,
    SshAddAuthorizedKeys,
    SshGetAuthorizedKeys,
    SshRemoveAuthorizedKeys,
    User,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent
    from qga.agent.system.asked import SshKeyFile


def _users(logins: "list[tuple[str, float]]") -> list[User]:
    """Each user once, in the order of the logins, with the earliest."""
    earliest: dict[str, float] = {}
    for name, time in logins:
        earliest[name] = min(time, earliest.get(name, time))
    return [User(user=name, login_time=time) for name, time in earliest.items()]


_USERS = LastText(_users)


@GetUsers.handler
def get_users(agent: "Agent", command: GetUsers) -> Text[list[User]]:
    return _USERS.of(agent.system.logins.current(), agent.config.compat)


@SetUserPassword.handler
def set_password(agent: "Agent", command: SetUserPassword) -> Pending[None]:
    # It ends where a string of C does.
    password = command.password.partition(b"\0")[0]
    if b"\n" in password:
        raise BadArgument("forbidden characters in raw password")
    if any(character in command.username for character in ":\n\0"):
        raise BadArgument("forbidden characters in username")
    return agent.programs.run(
        agent.system.accounts.password_command(crypted=command.crypted),
        "set user password",
        stdin=b"%s:%s\n" % (command.username.encode(), password),
        secret=password,
    )


def _key_file(agent: "Agent", user: str) -> "SshKeyFile":
    file = agent.system.accounts.key_file(user)
    if file is None:
        raise CommandError(f"failed to lookup user '{user}': no such user")
    return file


def _checked(keys: list[str]) -> list[bytes]:
    """The *keys* as lines of the file, without those that are empty, which libvirt sends."""
    for key in keys:
        if key.strip().startswith("#") or "\n" in key or "\0" in key:
            raise BadArgument(f"invalid OpenSSH public key: '{key}'")
    return [line for key in keys if (line := key.encode().strip())]


def _lines(content: bytes | None) -> list[bytes]:
    return content.removesuffix(b"\n").split(b"\n") if content else []


@SshGetAuthorizedKeys.handler
def ssh_get(agent: "Agent", command: SshGetAuthorizedKeys) -> AuthorizedKeys:
    file = _key_file(agent, command.username)
    content = file.read()
    if content is None:
        raise CommandError(
            f"failed to read '{file.path}': "
            f"Failed to open file “{file.path}”: No such file or directory"
        )
    stripped = (line.strip() for line in content.split(b"\n"))
    keys = [line for line in stripped if line and not line.startswith(b"#")]
    # Upstream's order.
    return AuthorizedKeys(keys=[key.decode("utf-8", "replace") for key in reversed(keys)])


@SshAddAuthorizedKeys.handler
def ssh_add(agent: "Agent", command: SshAddAuthorizedKeys) -> None:
    keys = _checked(command.keys)
    file = _key_file(agent, command.username)
    # Read in any case: what is in the way of reading it should not be replaced.
    content = file.read()
    lines = [] if command.reset else _lines(content)
    known = {line.strip() for line in lines}
    for key in keys:
        if key not in known:
            known.add(key)
            lines.append(key)
    _write(file, lines)


@SshRemoveAuthorizedKeys.handler
def ssh_remove(agent: "Agent", command: SshRemoveAuthorizedKeys) -> None:
    file = _key_file(agent, command.username)
    keys = {line for key in command.keys if (line := key.encode().strip())}
    content = file.read()
    if content is not None:
        _write(file, [line for line in _lines(content) if line.strip() not in keys])


def _write(file: "SshKeyFile", lines: list[bytes]) -> None:
    file.replace(b"".join(line + b"\n" for line in lines))
