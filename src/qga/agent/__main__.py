"""`qga-agent` and `python -m qga.agent`: the command line of the agent."""

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
    from .config import ConfigError
    from .options import UsageError, parse

    program = "qga-agent"
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        given = dict(options)
        if "help" in given:
            _print_help(program)
            return 0
        if "version" in given:
            _print_version()
            return 0
        if any(name.endswith("-rpcs") and value in ("help", "?") for name, value in options):
            _print_commands()
            return 0
        config = _configure(options)
        if "dump-conf" in given:
            print(config.dump(), end="")
            return 0
        return _run(config, program)
    except UsageError as error:
        print(f"{program}: {error}", file=sys.stderr)
        print(f"Unknown option, try '{program} --help' for more information.")
        return 1
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1


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
    return config


def _run(config: "Config", program: str) -> int:
    from . import daemon
    from .app import Agent
    from .channels import ChannelError
    from .state import StateError
    from .system.linux import LinuxSystem

    try:
        if config.daemon:
            config.make_absolute()
            daemon.detach()
        agent = Agent(config, LinuxSystem())
        agent.open()
        if config.daemon:
            daemon.ready()
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
    from .config import CONFIG_PATH, ISA_PATH, VIRTIO_PATH, Config
    from .options import HELP

    defaults = Config()
    print(
        HELP.format(
            program=program,
            virtio=VIRTIO_PATH,
            isa=ISA_PATH,
            statedir=defaults.statedir,
            pidfile=defaults.pidfile,
            config=CONFIG_PATH,
            timeout=defaults.fsfreeze_timeout,
        ),
        end="",
    )


def _print_version() -> None:
    from qga._version import VERSION
    from qga.protocol import UPSTREAM_VERSION

    print(f"QEMU Guest Agent {UPSTREAM_VERSION} (qga {VERSION})")


def _print_commands() -> None:
    from qga.protocol import COMMANDS

    for command in COMMANDS:
        print(command.NAME)


if __name__ == "__main__":
    sys.exit(main())
