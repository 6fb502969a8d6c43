"""What a client can do beyond single commands: each operation once, from its flow.

`Client` and `AsyncClient` inherit this; with the latter every operation is to be awaited.
"""

from __future__ import annotations

from .operation import opens, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aioprocess
    from . import process as processes
    from . import shell as shells
    from .flows import (
        clock,
        cloudinit,
        facts,
        freezable,
        freezing,
        leasing,
        overview,
        power,
        process,
        readiness,
        session,
        shell,
        transfer,
        vitals,
    )
else:
    from .operation import Deferred

    clock, facts, freezing = map(Deferred, ("flows.clock", "flows.facts", "flows.freezing"))
    overview, vitals = map(Deferred, ("flows.overview", "flows.vitals"))
    cloudinit, power = map(Deferred, ("flows.cloudinit", "flows.power"))
    freezable, leasing = map(Deferred, ("flows.freezable", "flows.leasing"))
    process, readiness = map(Deferred, ("flows.process", "flows.readiness"))
    session, shell, transfer = map(Deferred, ("flows.session", "flows.shell", "flows.transfer"))
    aioprocess, processes, shells = map(Deferred, ("aioprocess", "process", "shell"))


class FactOperations:
    """What the guest is."""

    interfaces = operation(facts.interfaces)
    addresses = operation(facts.addresses)
    address = operation(facts.address)
    filesystems = operation(facts.filesystems)
    users = operation(facts.users)
    os = operation(facts.os)
    hostname = operation(facts.hostname)
    uptime = operation(facts.uptime)
    boot_id = operation(facts.boot_id)
    time_offset = operation(clock.time_offset)
    sync_time = operation(clock.sync_time)
    overview = operation(overview.overview)
    load = operation(vitals.load)
    memory = operation(vitals.memory)
    cpus = operation(vitals.cpus)
    vitals = operation(vitals.vitals)  # the module's name, from here on


class ReadinessOperations:
    """Whether the agent can be used, and waiting."""

    state = operation(readiness.state)
    wait_ready = operation(readiness.wait_ready)
    wait_for = operation(readiness.wait_for)
    wait_cloud_init = operation(cloudinit.wait_cloud_init)


class PowerOperations:
    """The guest's going down, and its coming back."""

    shutdown = operation(session.shutdown)
    suspend = operation(power.suspend)
    wait_down = operation(power.wait_down)
    wait_boot = operation(power.wait_boot)


class ProgramOperations:
    """Programs of the guest, and terminals."""

    run = operation(process.run)
    popen = opens(process.start, processes.Popen, aioprocess.AsyncPopen)
    shell = opens(shell.shell, shells.Shell, shells.AsyncShell)


class Operations(FactOperations, ReadinessOperations, PowerOperations, ProgramOperations):
    """The operations of every client."""

    ping = operation(session.ping)
    info = operation(session.info)

    read_file = operation(transfer.read_file)
    write_file = operation(transfer.write_file)
    download = operation(transfer.download)
    upload = operation(transfer.upload)

    fsfreeze_status = operation(freezing.status)
    fsfreeze_report = operation(leasing.report)
    freeze_plan = operation(freezable.plan)
    freezable = operation(freezable.freezable)
    thaw = operation(freezing.thaw)
