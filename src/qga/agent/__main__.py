"""`qga-agent` and `python -m qga.agent`: the command line of the agent."""

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config


def main(arguments: "list[str] | None" = None) -> int:
    """Run the agent; return the exit code: 0 after a stop, 1 when it cannot run.

    Args:
        arguments: the command line without the program's name; that of the process by default.
    """
    # No .pyc is written: not while file systems are frozen, and so never.
    sys.dont_write_bytecode = True
    # What is made until the agent serves stays: to look for garbage among it is in vain.
    gc.disable()
    from .config import ConfigError
    from .options import UsageError, parse

    program = "qga-agent"
    options: list[tuple[str, str]] = []
    try:
        # In their order, so that the first that ends the program, or is wrong, counts.
        for name, value in parse(sys.argv[1:] if arguments is None else arguments):
            if name in _ENDS:
                _ENDS[name](program)
                return 0
            if name.endswith("-rpcs") and value in ("help", "?"):
                _print_commands()
                return 0
            options.append((name, value))
        config = _configure(options)
        for warning in config.warnings:
            print(f"{program}: {warning}", file=sys.stderr)
        if ("dump-conf", "") in options:
            # As bytes: the paths of the command line need not be UTF-8.
            _show(os.fsencode(config.dump()))
            return 0
        return _run(config, program)
    except UsageError as error:
        print(f"{program}: {error}", file=sys.stderr)
        print(f"Unknown option, try '{program} --help' for more information.")
        return 1
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    finally:
        gc.enable()


def _configure(options: "list[tuple[str, str]]") -> "Config":
    from .config import CONFIG_PATH, Config, ConfigError

    config = Config()
    named = dict(options).get("config")
    path = named or os.environ.get("QGA_CONF") or CONFIG_PATH
    try:
        config.read_file(path)
    except FileNotFoundError:
        if named:
            raise ConfigError(f"there is no configuration file {path}") from None
    config.read_options(options)
    config.check_hooks()
    return config


def _run(config: "Config", program: str) -> int:
    from qga.wire.splitter import DEPTH_LIMIT

    from . import daemon, descriptors
    from .app import Agent
    from .channels import ChannelError
    from .state import StateError
    from .system.linux import LinuxSystem

    descriptors.keep_private()
    # Otherwise the C decoder leaves the deepest messages that are allowed to the slow one.
    sys.setrecursionlimit(2 * DEPTH_LIMIT)
    try:
        if config.daemon:
            config.make_absolute()
            daemon.detach()
        agent = Agent(config, LinuxSystem())
        agent.open()
        if config.daemon:
            daemon.ready()
        gc.freeze()
        gc.enable()
        try:
            agent.serve()
        finally:
            agent.close()
    except (StateError, ChannelError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {where}{error.strerror}", file=sys.stderr)
        return 1
    finally:
        if config.daemon:
            daemon.remove_pidfile(config.pidfile)
    return 0


def _print_help(program: str) -> None:
    from .config import CONFIG_PATH, HOOK_PATH, ISA_PATH, VIRTIO_PATH, Config
    from .options import HELP

    defaults = Config()
    text = HELP.format(
        program=program,
        virtio=VIRTIO_PATH,
        isa=ISA_PATH,
        hook=HOOK_PATH,
        statedir=defaults.statedir,
        pidfile=defaults.pidfile,
        config=CONFIG_PATH,
        timeout=defaults.fsfreeze_timeout,
    )
    _show(text.encode())


def _print_version(_: str) -> None:
    from qga._version import VERSION
    from qga.protocol import UPSTREAM_VERSION

    _show(f"QEMU Guest Agent {UPSTREAM_VERSION} (qga {VERSION})\n".encode())


# Options after which nothing else counts.
_ENDS = {"help": _print_help, "version": _print_version}


def _print_commands() -> None:
    from qga.protocol import PLACES, PLATFORMS

    _show("".join(f"{name}\n" for name in PLACES if name not in PLATFORMS).encode())


def _show(text: bytes) -> None:
    """Print *text*, as far as somebody reads it."""
    try:
        sys.stdout.buffer.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the rest goes in the end


if __name__ == "__main__":
    sys.exit(main())
