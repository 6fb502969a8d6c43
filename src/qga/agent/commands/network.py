"""Handlers of `qga.protocol.network`."""

from qga.agent.later import Text
from qga.protocol.network import GetInterfaces, GetRoute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent
    from qga.protocol.network import NetworkInterface, NetworkRoute

# As text: there may be thousands of either, and hosts ask again and again.


@GetInterfaces.handler
def get_interfaces(agent: "Agent", command: GetInterfaces) -> "Text[list[NetworkInterface]]":
    return Text(agent.system.network.interfaces_text(agent.config.compat))


@GetRoute.handler
def get_route(agent: "Agent", command: GetRoute) -> "Text[list[NetworkRoute]]":
    return Text(agent.system.network.routes_text())
