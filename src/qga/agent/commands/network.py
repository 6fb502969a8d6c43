"""Handlers of `qga.protocol.network`."""

from qga.protocol.network import GetInterfaces, GetRoute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent
    from qga.protocol.network import NetworkInterface, NetworkRoute


@GetInterfaces.handler
def get_interfaces(agent: "Agent", command: GetInterfaces) -> "list[NetworkInterface]":
    return agent.system.network.interfaces()


@GetRoute.handler
def get_route(agent: "Agent", command: GetRoute) -> "list[NetworkRoute]":
    return agent.system.network.routes()
