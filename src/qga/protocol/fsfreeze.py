"""Freezing file systems for consistent snapshots: guest-fsfreeze-status, -freeze, -thaw, ...

The commands that begin with `qga-` are this project's own; they freeze for a lease, and tell more.
"""

from .model import Command, Enum, Struct, Value


class FsfreezeState(Enum):
    """The freeze state of the guest's file systems.

    Values:
        thawed: all file systems are thawed and writable
        frozen: all non-network file systems are frozen
        error: one or more frozen file systems could not be thawed, or one that was frozen can no
            longer be opened
    """

    NAME = "GuestFsfreezeStatus"
    SINCE = "0.15"

    THAWED = Value("thawed")
    FROZEN = Value("frozen")
    # Upstream agents since 1.1 never answer this one.
    ERROR = Value("error")


class FsfreezeStatus(Command[FsfreezeState]):
    """Get the freeze state of the guest's file systems.

    Returns: `GuestFsfreezeStatus`
    """

    NAME = "guest-fsfreeze-status"
    SINCE = "0.15"
    WHILE_FROZEN = True


class FsfreezeFreeze(Command[int]):
    """Sync and freeze all freezable file systems that are local to the guest.

    Until they are thawed, processes that write to them wait, and most commands of the agent are
    refused. This agent thaws them by itself after its deadline.

    Returns: the number of file systems now frozen
    """

    NAME = "guest-fsfreeze-freeze"
    SINCE = "0.15"


class FsfreezeFreezeList(Command[int]):
    """Sync and freeze the file systems at some mount points.

    Members:
        mountpoints: where they are mounted; all freezable local ones if this is absent, and none
            if it is empty. What is no mount point of such a file system is ignored.

    Returns: the number of file systems now frozen
    """

    NAME = "guest-fsfreeze-freeze-list"
    SINCE = "2.2"

    mountpoints: list[str] | None = None


class FsfreezeThaw(Command[int]):
    """Thaw all frozen file systems of the guest.

    May be repeated, also after a failure: whatever is thawed already stays so.

    Returns: the number of file systems that this call thawed. On failure agents of version 1.0
        return -1 or a negated errno; later ones answer with an error.
    """

    NAME = "guest-fsfreeze-thaw"
    SINCE = "0.15"
    WHILE_FROZEN = True


class FreezeOutcome(Enum):
    """What has become of one mount.

    Values:
        planned: it is to be frozen, or was not reached
        skipped: it is left out, or cannot be frozen
        frozen: it is frozen
        failed: freezing it failed
        hanging: freezing it did not end in time
        thawed: it was frozen, and is thawed
        stuck: it was frozen, and could not be thawed yet
    """

    NAME = "QgaFsfreezeOutcome"
    SINCE = "10.2"

    PLANNED = Value("planned")
    SKIPPED = Value("skipped")
    FROZEN = Value("frozen")
    FAILED = Value("failed")
    HANGING = Value("hanging")
    THAWED = Value("thawed")
    STUCK = Value("stuck")


# The reason of a mount that was skipped for this.
FROZEN_BY_OTHERS = "somebody else has frozen it"


class FreezeMount(Struct):
    """A mounted file system, and what a freeze made of it.

    Members:
        path: where it is mounted
        device: what is mounted there, such as /dev/vda1
        type: its type, such as ext4
        outcome: what has become of it
        milliseconds: how long freezing it took
        reason: why it was not frozen, or what else is to be known of it
    """

    NAME = "QgaFsfreezeMount"
    SINCE = "10.2"

    path: str
    device: str
    type: str
    outcome: FreezeOutcome
    milliseconds: int | None = None
    reason: str | None = None


class FreezeEnd(Enum):
    """Why a freeze has ended.

    Values:
        thawed: a client has thawed
        lease: its lease has ended, and nobody had thawed or renewed it
        nothing: there was nothing to freeze
        failed: a file system could not be frozen
        hook: a hook refused the freeze, failed, or was stopped; nothing was frozen
        timeout: freezing a file system took longer than it may
        agent: the agent has ended, and none came after it; or it ended before all was frozen
        stopped: the guest shuts down, or somebody has told the guardian to end
        foreign: somebody else has removed what marks the guest as frozen
    """

    NAME = "QgaFsfreezeEnd"
    SINCE = "10.2"

    THAWED = Value("thawed")
    LEASE = Value("lease")
    NOTHING = Value("nothing")
    FAILED = Value("failed")
    HOOK = Value("hook")
    TIMEOUT = Value("timeout")
    AGENT = Value("agent")
    STOPPED = Value("stopped")
    FOREIGN = Value("foreign")


class HookAction(Enum):
    """What a hook is run for.

    Values:
        freeze: the guest is about to be frozen
        thaw: it is thawed
    """

    NAME = "QgaFsfreezeHookAction"
    SINCE = "10.2"

    FREEZE = Value("freeze")
    THAW = Value("thaw")


class FreezeHook(Struct):
    """One run of one hook: a program of the guest's owner, beside a freeze.

    Members:
        name: what it is called; of one in a directory, its file name
        action: what it was told
        ok: whether it has succeeded
        required: whether its failure is one of the freeze
        milliseconds: how long it took
        exit-code: with which it has ended, if it did so by itself
        signal: the number of the signal that ended it
        timed-out: true if it was ended because it took longer than it may
        reason: why it has failed
        output: what it has printed, or the begin of that; control characters are left in it
        omitted: how many bytes more it has printed
    """

    NAME = "QgaFsfreezeHook"
    SINCE = "10.2"

    name: str
    action: HookAction
    ok: bool
    required: bool
    milliseconds: int
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool | None = None
    reason: str | None = None
    output: str | None = None
    omitted: int | None = None


class PlannedHook(Struct):
    """A hook, and how it would be run before a freeze.

    Members:
        name: what it is called; of one in a directory, its file name
        ok: false if it could not be run, as far as can be seen; if it is required, a freeze fails
        required: whether its failure is one of the freeze
        timeout-ms: how many milliseconds a run may take
        order: those of a lower number are run earlier; absent from one in no directory, which is
            the first
        reason: why it could not be run, or what else is to be known of it
    """

    NAME = "QgaFsfreezePlannedHook"
    SINCE = "10.2"

    name: str
    ok: bool
    required: bool
    timeout_ms: int
    order: int | None = None
    reason: str | None = None


class FreezeReport(Struct):
    """The freeze that lasts, or else the last one; of a guest that was never frozen, its state.

    Times are nanoseconds. Those called monotonic are of a clock that nobody sets and that goes on
    while the guest sleeps (CLOCK_BOOTTIME); the others are since 1970-01-01 00:00 UTC.

    Members:
        state: whether the guest is frozen now
        token: which freeze this is
        deadline-ms: how many milliseconds of its lease are left, while it lasts
        count: how many file systems were frozen
        began: when it began, before anything was frozen
        began-monotonic: the same
        frozen-monotonic: from when on all were frozen
        ended: when the thaw began
        ended-monotonic: the same
        held: once it has ended, whether all that were frozen stayed so until a client thawed
        end: why it has ended
        reason: the same in words, where there is more to say
        mounts: those to be frozen, in the order in which they are, and then those left out
        hooks: each run of a hook, in the order in which they were; absent where there is none
        planned-hooks: the hooks that a freeze would run, in that order, and those that it could
            not; only where the request was a dry run
    """

    NAME = "QgaFsfreezeReport"
    SINCE = "10.2"

    state: FsfreezeState
    token: str | None = None
    deadline_ms: int | None = None
    count: int | None = None
    began: int | None = None
    began_monotonic: int | None = None
    frozen_monotonic: int | None = None
    ended: int | None = None
    ended_monotonic: int | None = None
    held: bool | None = None
    end: FreezeEnd | None = None
    reason: str | None = None
    mounts: list[FreezeMount]
    hooks: list[FreezeHook] | None = None
    planned_hooks: list[PlannedHook] | None = None


class FreezeLease(Struct):
    """How long a freeze lasts if nobody ends it.

    Members:
        token: which freeze
        deadline-ms: how many milliseconds are left
    """

    NAME = "QgaFsfreezeLease"
    SINCE = "10.2"

    token: str
    deadline_ms: int


class QgaFsfreezeFreeze(Command[FreezeReport]):
    """Freeze for a lease, and tell what has become of each mount.

    When the lease ends, the guest is thawed, whatever has become of the agent. Patterns are mount
    points, `type:TYPE` or `device:DEVICE`; `*` in them is any text, `?` any character.

    Members:
        mountpoints: only what one of these patterns matches; a mount point without `*` and `?`
            that cannot be frozen is an error. All local file systems if this is absent.
        exclude: not what one of these patterns matches
        deadline-ms: the lease, in milliseconds; the configuration's fsfreeze-timeout by default
        token: what the freeze is to be called, for renewing and thawing; made up by default
        dry-run: freeze nothing and run no hook; only tell what would be frozen, which hooks would
            be run, and in which order

    Returns: `QgaFsfreezeReport`
    """

    NAME = "qga-fsfreeze-freeze"
    SINCE = "10.2"

    mountpoints: list[str] | None = None
    exclude: list[str] | None = None
    deadline_ms: int | None = None
    token: str | None = None
    dry_run: bool | None = None


class QgaFsfreezeRenew(Command[FreezeLease]):
    """Let the freeze that lasts go on: its lease begins anew, now.

    Members:
        token: which freeze
        deadline-ms: the lease from now on, in milliseconds; it may be shorter than what was left

    Returns: `QgaFsfreezeLease`
    """

    NAME = "qga-fsfreeze-renew"
    SINCE = "10.2"
    WHILE_FROZEN = True

    token: str
    deadline_ms: int


class QgaFsfreezeThaw(Command[FreezeReport]):
    """Thaw, and tell whether the freeze held until now.

    May be repeated: then it tells again how the freeze of that token ended.

    Members:
        token: which freeze; without it any is ended, and whatever else is frozen, by whomever

    Returns: `QgaFsfreezeReport`
    """

    NAME = "qga-fsfreeze-thaw"
    SINCE = "10.2"
    WHILE_FROZEN = True

    token: str | None = None


class QgaFsfreezeReport(Command[FreezeReport]):
    """Tell of the freeze that lasts, or else of the last one: also of one under another agent.

    Returns: `QgaFsfreezeReport`
    """

    NAME = "qga-fsfreeze-report"
    SINCE = "10.2"
    WHILE_FROZEN = True
