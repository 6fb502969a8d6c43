"""Commands that are answered later, by an agent in this process."""

import json
import signal
from typing import Any

from qga.agent.app import Agent
from qga.agent.dispatch import Deferred
from tests.agent.harness import raw_answer, request


def finish(agent: Agent, name: str, **arguments: Any) -> Any:
    """The agent's reply when it is there, decoded; None if it sends none."""
    arguments = {member.replace("_", "-"): value for member, value in arguments.items()}
    reply = raw_answer(agent, request(name, arguments))
    if isinstance(reply, bytes):
        return json.loads(reply) if reply else None
    assert isinstance(reply, Deferred)
    replies: list[bytes] = []

    def done(pieces: list[bytes]) -> None:
        replies.append(b"".join(pieces))
        agent.loop.stop()

    agent.loop.on_signal(signal.SIGCHLD, agent.programs.on_child_ended)
    agent.loop.soon(agent.programs.on_child_ended)  # what has ended already
    agent.loop.soon(lambda: reply.when_done(done))
    agent.loop.run()
    return json.loads(replies[0]) if replies[0] else None


def desc(reply: Any) -> str:
    """The text of an error reply."""
    text = reply["error"]["desc"]
    assert isinstance(text, str)
    return text
