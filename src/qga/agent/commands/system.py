"""Handlers of `qga.protocol.system`."""

from qga.protocol.system import GetHostName, GetOsInfo, HostName, OsInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetHostName.handler
def get_host_name(agent: "Agent", command: GetHostName) -> HostName:
    return HostName(host_name=agent.system.identity.host_name())


@GetOsInfo.handler
def get_os_info(agent: "Agent", command: GetOsInfo) -> OsInfo:
    return agent.system.identity.os_info()
