"""Ends of a freeze, and their delay: renewing, thawing, the agent's own end. Part of `freeze`."""

import errno
import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.fsfreeze import FreezeLease

from . import apart, record
from .later import Pending, raising
from .workers import thaw_fully

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .freeze import Freeze
    from .hold import Hold
    from .system.asked import Freezer

# How long a client waits for a thaw; for one that the kernel is still freezing, which it may do for
# ever; and the agent for a thaw at its end.
_PATIENCE = 30.0
_IN_FREEZE = 2.0
_AT_END = 5.0

_SECOND = 1_000_000_000


def renew(freeze: "Freeze", token: str, seconds: float) -> "Pending[FreezeLease]":
    """See `Freeze.renew`."""
    hold = _of_token(freeze, token)
    if hold is None:
        raise CommandError(_gone(freeze, token))
    pending: Pending[FreezeLease] = Pending()
    number = hold.state.renewals + 1

    def heard(state: record.State) -> bool:
        if state.ended:
            pending.resolve(raising(CommandError(_gone(freeze, token))))
        elif state.renewals >= number:
            left = max(0, state.deadline - record.now()) // 1_000_000
            pending.resolve(lambda: FreezeLease(token=token, deadline_ms=left))
        else:
            return False
        return True

    freeze.wait_for(heard)
    hold.tell(f"renew {record.now() + int(seconds * _SECOND)}")
    return pending


def _of_token(freeze: "Freeze", token: str) -> "Hold | None":
    """The freeze that lasts, if it has that *token*; None if none lasts.

    Raises:
        CommandError: it has another one.
    """
    hold = freeze.hold
    if hold is not None and hold.record.token != token:
        raise CommandError(
            f"the freeze that lasts now has another token than '{token}': "
            "somebody else has begun it (qga-fsfreeze-report tells)"
        )
    return hold


def _gone(freeze: "Freeze", token: str) -> str:
    report = freeze.report()
    if report.token != token:
        return f"no freeze of token '{token}' is known: nothing is frozen"
    why = report.reason or "it was thawed"
    return f"the freeze of token '{token}' has ended: {why}"


def thaw(freeze: "Freeze", token: "str | None") -> "Pending[int]":
    """See `Freeze.thaw`."""
    if token is not None:
        if _of_token(freeze, token) is None:
            if freeze.report().token != token:
                raise CommandError(_gone(freeze, token))
            pending: Pending[int] = Pending()
            pending.resolve(lambda: 0)
            return pending
        return _by_guardian(freeze, others=False)
    hold = freeze.hold
    if hold is None:
        return _sweep(freeze, [], 0)
    if not hold.stuck:
        return _by_guardian(freeze, others=True)
    return _with_what_is_stuck(freeze, hold)


def _by_guardian(freeze: "Freeze", *, others: bool) -> "Pending[int]":
    """Have the guardian thaw what it holds, and then thaw the *others*."""
    hold = freeze.hold
    if hold is None:
        raise RuntimeError("there is no freeze")
    pending: Pending[int] = Pending()
    before = set(hold.state.positions(record.THAWED))
    # What is being frozen still, may wait for what somebody else has frozen.
    in_the_way: Pending[int] | None = None
    if others and hold.state.positions(record.IN_FREEZE):
        own = hold.state.positions(record.IN_FREEZE, record.IS_FROZEN, record.MAYBE)
        in_the_way = _sweep(freeze, [], 0, spared={hold.held[each][0] for each in own})

    fds = [fd for _, fd in hold.held if fd >= 0]
    all_held = False

    def heard(state: record.State) -> bool:
        if pending.ended:  # waited for in vain: nobody is told of the end by this
            return False
        stuck = state.positions(record.STUCK)[::-1]  # in the order of the mount table
        if state.phase == record.DONE:
            freeze.loop.cancel(patience)
            count = len(set(state.positions(record.THAWED)) - before)
            if in_the_way is not None:
                in_the_way.listen(
                    lambda: _pass_on(_sweep(freeze, [], count + _number(in_the_way)), pending)
                )
            elif others and not (all_held and _nothing_left(state)):
                _pass_on(_sweep(freeze, [], count), pending)
            else:
                pending.resolve(lambda: count)
        elif state.phase == record.THAWING and state.settled and stuck:
            freeze.loop.cancel(patience)
            reasons = [f"{hold.path(each)}: {os.strerror(state.error[each])}" for each in stuck]
            _fail(reasons, state.error[stuck[0]])
        else:
            return False
        return True

    def wait_no_longer() -> None:
        state = hold.state
        late = dict.fromkeys(
            state.positions(record.IS_FROZEN, record.MAYBE), f"it takes longer than {limit:g} s"
        )
        late |= dict.fromkeys(
            state.positions(record.IN_FREEZE), "it is being frozen still, and thawed right after"
        )
        reasons = [f"{hold.path(each)}: {reason}" for each, reason in late.items()]
        _fail(reasons or [f"it takes longer than {limit:g} s"], 0)

    def _fail(reasons: list[str], number: int) -> None:
        desc = "failed to thaw " + "; ".join(reasons)
        freeze.log.error(desc)
        pending.resolve(raising(GuestOSError(desc, number)))

    limit = _IN_FREEZE if hold.state.positions(record.IN_FREEZE) else _PATIENCE
    patience = freeze.loop.later(limit, wait_no_longer)
    freeze.wait_for(heard)
    hold.tell("thaw")
    if others:  # found out while it thaws
        try:
            all_held = freeze.freezer.are_all(fds)
        except OSError:
            pass  # then who looks for others will see
    return pending


def _nothing_left(state: record.State) -> bool:
    """Whether nothing of what was held can be frozen, by whomever."""
    return all(
        status in {record.THAWED, record.LOST}
        or (status == record.SKIPPED and error == errno.EOPNOTSUPP)
        for status, error in zip(state.status, state.error, strict=True)
    )


def _with_what_is_stuck(freeze: "Freeze", hold: "Hold") -> "Pending[int]":
    """Thaw what an earlier agent has frozen, and what may be out of reach.

    Only if all is found the freeze is over.
    """
    pending: Pending[int] = Pending()
    found = _sweep(freeze, hold.stuck, 0)

    def then() -> None:
        try:
            count = found.result()
        except Exception as error:  # noqa: BLE001 - it belongs into the reply
            freeze.unreachable = True
            freeze.log.error(str(error))  # noqa: TRY400
            pending.resolve(raising(error))
            return
        hold.stuck = []
        rest = _by_guardian(freeze, others=False)
        _pass_on(rest, pending, add=count)

    found.listen(then)
    return pending


def _pass_on(result: "Pending[int]", to: "Pending[int]", add: int = 0) -> None:
    result.listen(lambda: to.resolve(lambda: result.result() + add))


def _number(thawed: "Pending[int]") -> int:
    """Its result; 0 if it has failed, of which the next sweep will tell."""
    try:
        return thawed.result()
    except CommandError:
        return 0


def _sweep(
    freeze: "Freeze", stuck: "list[str]", count: int, *, spared: "Collection[str]" = ()
) -> "Pending[int]":
    """Thaw what is frozen, by whomever, in a process of its own: any of it may hang.

    Args:
        freeze: whose platform it is.
        stuck: mount points that are known to be frozen.
        count: what else was thawed; the result is that and more.
        spared: mount points that are left alone.
    """
    freezer = freeze.freezer

    def work() -> bytes:
        return _thaw_all(freezer, set(stuck), spared)

    def understand(said: bytes) -> int:
        thawed, _, failures = said.partition(b"\n")
        if failures:
            number, _, reasons = failures.partition(b"\n")
            raise GuestOSError("failed to thaw " + os.fsdecode(reasons), int(number))
        return count + int(thawed)

    swept = apart.run(freeze.loop, work, understand)
    freeze.sweeps += 1
    result: Pending[int] = Pending()

    def ended() -> None:
        freeze.sweeps -= 1
        result.resolve(swept.result)

    swept.listen(ended)
    return result


def _thaw_all(freezer: "Freezer", stuck: "set[str]", spared: "Collection[str]") -> bytes:
    """How many were frozen; and then the first error's number, and what could not be thawed."""
    thawed, failures, codes = 0, [], []
    try:
        mounts = freezer.mounts()
    except OSError:
        mounts = []  # what is held is thawed all the same
    for mount in mounts:
        if mount.path in spared:
            continue
        known = mount.path in stuck
        try:
            fd = freezer.open(mount)
        except OSError as error:
            # What this guest is not known to have frozen is no concern.
            if known:
                stuck.discard(mount.path)
                failures.append(f"{mount.path}: {error.strerror}")
                codes.append(error.errno or 0)
            continue
        stuck.discard(mount.path)
        try:
            thawed += thaw_fully(freezer, fd)
        except OSError as error:
            failures.append(f"{mount.path}: {error.strerror}")
            codes.append(error.errno or 0)
        finally:
            os.close(fd)
    failures += [f"{path}: no longer mounted" for path in sorted(stuck)]
    said = b"%d\n" % thawed
    if failures:
        said += b"%d\n%b" % ((codes or [0])[0], os.fsencode("; ".join(failures)))
    return said


def finish(freeze: "Freeze", another: float) -> None:
    """See `Freeze.finish`."""
    hold = freeze.hold
    if hold is None:
        return
    if another:
        hold.tell(f"leave {record.now() + int(another * _SECOND)}")
    else:
        freeze.wait_for(lambda state: state.phase == record.DONE)
        hold.tell("thaw")
        if hold.guardian is not None:
            hold.guardian.wait(_AT_END, until=lambda: freeze.hold is None)
    hold.let_go()
