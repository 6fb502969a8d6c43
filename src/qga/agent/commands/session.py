"""Handlers of `qga.protocol.session`."""

from qga.agent.later import Text
from qga.protocol.codec import encode
from qga.protocol.session import AgentCommandInfo, AgentInfo, Info, Ping, Sync, SyncDelimited
from qga.wire import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@SyncDelimited.handler
def sync_delimited(agent: "Agent", command: SyncDelimited) -> int:
    return command.id


@Sync.handler
def sync(agent: "Agent", command: Sync) -> int:
    return command.id


@Ping.handler
def ping(agent: "Agent", command: Ping) -> None:
    return None


@Info.handler
def info(agent: "Agent", command: Info) -> "Text[AgentInfo]":
    # Frozen or not makes all the difference that there can be while the agent runs.
    frozen = agent.policy.frozen
    if frozen not in agent.info:
        agent.info[frozen] = Text(b"".join(text.encode(encode(_info(agent), agent.config.compat))))
    return agent.info[frozen]


def _info(agent: "Agent") -> AgentInfo:
    entries = agent.dispatcher.entries.values()
    return AgentInfo(
        version=agent.config.reported_version,
        supported_commands=[
            AgentCommandInfo(
                name=entry.name,
                enabled=agent.policy.allows(entry.name),
                success_response=entry.replies,
            )
            # Upstream's order: the last one registered comes first.
            for entry in reversed(entries)
        ],
    )
