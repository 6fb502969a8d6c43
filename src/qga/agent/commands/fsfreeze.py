"""Handlers of `qga.protocol.fsfreeze`."""

import errno

from qga.agent import commands
from qga.agent.later import made_of, raising
from qga.errors import CommandError, GuestOSError
from qga.protocol.fsfreeze import (
    FreezeLease,
    FreezeReport,
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeState,
    FsfreezeStatus,
    FsfreezeThaw,
    QgaFsfreezeFreeze,
    QgaFsfreezeRenew,
    QgaFsfreezeReport,
    QgaFsfreezeThaw,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from qga.agent.app import Agent
    from qga.agent.later import Pending
    from qga.agent.plan import Wanted

    R = TypeVar("R")

# The longest lease, and the longest token.
_DAY = 86_400_000
_LONGEST = 128


@FsfreezeStatus.handler
def status(agent: "Agent", command: FsfreezeStatus) -> FsfreezeState:
    if agent.freeze.failed:
        return FsfreezeState.ERROR
    return FsfreezeState.FROZEN if agent.freeze.frozen else FsfreezeState.THAWED


@FsfreezeFreeze.handler
def freeze(agent: "Agent", command: FsfreezeFreeze) -> "Pending[int]":
    return _freeze_as_upstream(agent, None)


@FsfreezeFreezeList.handler
def freeze_list(agent: "Agent", command: FsfreezeFreezeList) -> "Pending[int]":
    return _freeze_as_upstream(agent, command.mountpoints)


def _freeze_as_upstream(agent: "Agent", paths: "list[str] | None") -> "Pending[int]":
    commands.load_for_freeze()
    from qga.agent.plan import Wanted

    frozen: Pending[int] = made_of(agent.hook.freeze(Wanted(paths)), lambda report: report.count)
    return _may_be_given_up(agent, frozen)


def _may_be_given_up(agent: "Agent", frozen: "Pending[R]") -> "Pending[R]":
    """The same; given up, it fails at once, whatever the kernel does."""

    def give_up() -> None:
        desc = "failed to freeze: given up, for another request on this channel"
        frozen.resolve(raising(GuestOSError(desc, errno.ECANCELED)))
        agent.hook.give_up()

    frozen.give_up = give_up
    return frozen


@FsfreezeThaw.handler
def thaw(agent: "Agent", command: FsfreezeThaw) -> "Pending[int]":
    commands.load_for_freeze()
    thawed: Pending[int] = agent.hook.thaw()
    if agent.config.compat >= (1, 1):
        return thawed

    def number() -> int:  # failed with a number, not with an error
        try:
            return thawed.result()
        except GuestOSError as error:
            return -(error.errno or 1)

    answer: Pending[int] = type(thawed)()
    thawed.listen(lambda: answer.resolve(number))
    return answer


@QgaFsfreezeFreeze.handler
def freeze_for(
    agent: "Agent", command: QgaFsfreezeFreeze
) -> "FreezeReport | Pending[FreezeReport]":
    commands.load_for_freeze()
    from qga.agent.plan import Wanted, patterns

    include = None if command.mountpoints is None else patterns(command.mountpoints)
    wanted = Wanted(include=include, exclude=patterns(command.exclude or ()))
    milliseconds = _lease(command.deadline_ms)
    token = _token(command.token)
    if command.dry_run:
        return _dry_run(agent, wanted, token)
    seconds = None if milliseconds is None else milliseconds / 1000
    return _may_be_given_up(agent, agent.hook.freeze(wanted, seconds, token))


def _dry_run(agent: "Agent", wanted: "Wanted", token: "str | None") -> FreezeReport:
    from qga.agent import record

    hooks = agent.hook.plan()
    mounts, others = record.planned(agent.freeze.plan(wanted))
    return FreezeReport(
        state=FsfreezeState.THAWED,
        count=0,
        token=token,
        mounts=[*mounts, *others],
        planned_hooks=hooks,
    )


def _lease(milliseconds: "int | None") -> "int | None":
    if milliseconds is not None and not 0 < milliseconds <= _DAY:
        raise CommandError(f"deadline-ms is from 1 to {_DAY} (a day), not {milliseconds}")
    return milliseconds


def _token(token: "str | None") -> "str | None":
    if token is not None and not (0 < len(token) <= _LONGEST and token.isprintable()):
        raise CommandError(f"token is 1 to {_LONGEST} printable characters")
    return token


@QgaFsfreezeRenew.handler
def renew(agent: "Agent", command: QgaFsfreezeRenew) -> "Pending[FreezeLease]":
    commands.load_for_freeze()
    milliseconds = _lease(command.deadline_ms) or 0
    return agent.freeze.renew(command.token, milliseconds / 1000)


@QgaFsfreezeThaw.handler
def thaw_and_tell(agent: "Agent", command: QgaFsfreezeThaw) -> "Pending[FreezeReport]":
    commands.load_for_freeze()
    return made_of(agent.hook.thaw(command.token), lambda _: agent.freeze.report())


@QgaFsfreezeReport.handler
def report(agent: "Agent", command: QgaFsfreezeReport) -> FreezeReport:
    return agent.freeze.report()
