"""The agent as a whole: put together, started, stopped. Called by `__main__`, and by tests."""

import os

from . import channels, commands, daemon
from .config import ConfigError
from .dispatch import Dispatcher
from .freeze import Freeze
from .hook import Hook
from .lean import signal
from .log import Log
from .loop import Loop
from .notify import Notifier
from .policy import Policy
from .programs import Programs
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.protocol.session import AgentInfo

    from .commands.files import OpenFile
    from .config import Config
    from .hold import Settings
    from .later import Text
    from .processes import Processes
    from .system.asked import System

# Seconds in which a service manager will have started the next agent, if it is to.
_ANOTHER = 10.0

# The C library returns freed memory of this size to the system only after it has once seen a
# larger block freed; without, each large read would map and unmap its pieces.
_WARM_UP = 4 << 20


class Agent:
    """What handlers see of the agent.

    Args:
        config: the settings.
        system: the platform.

    Raises:
        StateError: the state directory cannot be used.
    """

    def __init__(self, config: "Config", system: "System") -> None:
        commands.load()
        self.config = config
        self.system = system
        self.log = Log(verbose=config.verbose)
        self.state = State(config.statedir)
        self.policy = Policy(config.allowed, config.blocked)
        self.files: dict[int, OpenFile] = {}
        self.info: dict[bool, Text[AgentInfo]] = {}
        self.programs = Programs()
        self._processes: Processes | None = None
        self.dispatcher = Dispatcher(self, self.policy, self.log, config.compat)
        self.loop = Loop()
        self.freeze = Freeze(
            system.freezer, self.policy, self.log, self.loop,
            marker=self.state.marker,
            settings=self._freezing,
        )  # fmt: skip
        self.hook = Hook(
            config, self.freeze, self.programs, self.loop, self.log,
            marker=self.state.hook_marker,
        )  # fmt: skip
        self.notifier = Notifier(self.loop)
        self.freeze.on_change = self._on_freeze
        self.freeze.on_unasked = self.hook.thawed_unasked
        self._channel: channels.Port | channels.Listener | None = None

    def _freezing(self) -> "Settings":
        from .hold import Settings

        return Settings(
            self.config.fsfreeze_timeout,
            self.config.fsfreeze_mount_timeout,
            self.config.freezable,
            self.state.marker,
            self.state.freeze_report,
        )

    @property
    def processes(self) -> "Processes":
        """The programs of guest-exec; few guests have any."""
        if self._processes is None:
            from .processes import Processes

            self._processes = Processes(self.loop)
        return self._processes

    def open(self) -> None:
        """Take over a freeze that an earlier agent has left, and open files and channel.

        Raises:
            OSError: the log file, the state file or the pid file cannot be written.
            ConfigError, ChannelError: the channel cannot be opened.
        """
        # Before anybody can see that the agent is there, and end it.
        self.loop.on_signal(signal.SIGTERM, self.loop.stop)
        self.loop.on_signal(signal.SIGINT, self.loop.stop)
        self.loop.on_signal(signal.SIGHUP, self._hung_up)
        self.loop.on_signal(signal.SIGCHLD, self._child_ended)
        if self.freeze.resume():
            commands.load_for_freeze()
        # Frozen, the agent writes nothing: its files may be on a frozen file system.
        self.freeze.when_thawed(self._open_files)
        if not self.freeze.frozen:
            self.hook.resume()
        try:
            self._channel = self._make_channel()
            self._channel.open()
        except (channels.ChannelError, ConfigError) as error:
            if self.config.logfile is not None:
                self.log.error(str(error))  # noqa: TRY400
            raise
        bytes(_WARM_UP)
        self.notifier.ready()

    def _open_files(self) -> None:
        if self.config.daemon:
            # First, so that a second agent leaves the files and the socket of the first alone.
            daemon.lock_pidfile(self.config.pidfile)
        if self.config.logfile is not None:
            self.log.open(self.config.logfile)
        self.state.commit()

    def _make_channel(self) -> "channels.Port | channels.Listener":
        loop, dispatcher, log = self.loop, self.dispatcher, self.log
        listening = channels.activated_socket()
        if listening is not None:
            return channels.Listener(loop, dispatcher, log, listening)
        method = self.config.channel_method()
        path = self.config.channel_path()
        if method == "unix-listen":
            return channels.Listener(loop, dispatcher, log, channels.unix_socket(path), path)
        if method == "vsock-listen":
            return channels.Listener(loop, dispatcher, log, channels.vsock_socket(path))
        prepare = channels.raw_serial if method == "isa-serial" else None
        return channels.Port(
            loop, dispatcher, log, path, loop.stop, retry=self.config.retry_path, prepare=prepare,
            tell=self.notifier.status,
        )  # fmt: skip

    def serve(self) -> None:
        """Answer requests until SIGTERM or SIGINT, or until the device has gone."""
        self.loop.run()

    def _hung_up(self) -> None:
        """The log file was rotated; or, where there is none, the terminal has gone."""
        if self.config.logfile is None:
            self.loop.stop()
        else:
            self.freeze.when_thawed(self.log.reopen)

    def _on_freeze(self, frozen: bool) -> None:  # noqa: FBT001
        # A frozen guest would be the worst place to be killed in, for being slow.
        self.notifier.patience(self.config.fsfreeze_timeout if frozen else 0)

    def _child_ended(self) -> None:
        self.programs.on_child_ended()
        self.freeze.on_child_ended()
        # Last: a child that nobody has reaped makes it look at each of its own.
        if self._processes is not None:
            self._processes.on_child_ended()

    def close(self) -> None:
        """Thaw, close the channel and keep the state.

        A service manager starts the next agent at once, if it is to go on; then the guardian keeps
        the guest frozen for it, but not for long.
        """
        self.notifier.stopping()
        was_frozen = self.freeze.frozen
        if was_frozen:
            self.freeze.finish(another=_ANOTHER if self.notifier.managed else 0)
        if self._channel is not None:
            self._channel.close()
        for file in self.files.values():
            os.close(file.fd)
        if not self.freeze.frozen:
            self.hook.finish(thawed=was_frozen)
        if self._processes is not None:
            self._processes.close()
        self.loop.close()
        self.notifier.close()
        if self.freeze.frozen:
            return  # and writing might wait for ever
        try:
            self.state.commit()
        except OSError as error:
            self.log.error(f"cannot keep the state: {error.strerror}")  # noqa: TRY400
        self.log.close()
