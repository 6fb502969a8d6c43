"""Handlers of `qga.protocol.system`."""

from qga.agent.later import LastText, Text
from qga.protocol.system import GetHostName, GetOsInfo, HostName, OsInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


_HOST_NAME = LastText(lambda name: HostName(host_name=name))
_OS_INFO = LastText(lambda info: info)


@GetHostName.handler
def get_host_name(agent: "Agent", command: GetHostName) -> Text[HostName]:
    return _HOST_NAME.of(agent.system.identity.host_name(), agent.config.compat)


@GetOsInfo.handler
def get_os_info(agent: "Agent", command: GetOsInfo) -> Text[OsInfo]:
    return _OS_INFO.of(agent.system.identity.os_info(), agent.config.compat)
