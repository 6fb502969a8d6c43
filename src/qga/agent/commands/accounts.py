"""Handlers of `qga.protocol.accounts`."""

from qga.protocol.accounts import GetUsers, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetUsers.handler
def get_users(agent: "Agent", command: GetUsers) -> list[User]:
    """Each user once, in the order of the logins, with the earliest."""
    earliest: dict[str, float] = {}
    for name, time in agent.system.logins.current():
        earliest[name] = min(time, earliest.get(name, time))
    return [User(user=name, login_time=time) for name, time in earliest.items()]
