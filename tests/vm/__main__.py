"""``make vm``: a real guest with our agent in it, and a shell beside it to try ``qga`` on."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.vm.cache import Unavailable
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

FIRST_TIME = (
    "(The first time takes a while: it downloads some 40 MB, boots the guest and saves it.)"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    parser.add_argument("--stock", action="store_true", help="QEMU's own agent instead of ours")
    argv = STOCK_AGENT if parser.parse_args().stock else AGENT
    print(f"Starting a guest. {FIRST_TIME}", flush=True)
    try:
        with Guest.restore() as guest:
            # The saved guest's clock stands where it was saved.
            guest.sh("hwclock -s -u")
            guest.start_agent(argv)
            target = f"unix:{guest.agent_socket}"
            print(f"It runs: {' '.join(argv)}\nQGA_TARGET={target}", flush=True)
            if sys.stdin.isatty():
                _shell(target)
            else:
                sys.stdin.read()
    except (Unavailable, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    print("The guest is gone.")
    return 0


def _shell(target: str) -> None:
    print("Try `qga info`, `qga --help`; `exit` ends the guest.", flush=True)
    commands = Path(sys.executable).parent  # where `qga` is installed
    environment = {
        **os.environ,
        "QGA_TARGET": target,
        "PATH": f"{commands}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PS1": "(qga guest) $ ",
    }
    shell = os.environ.get("SHELL", "/bin/sh")
    with tempfile.NamedTemporaryFile("w", prefix="qga-", suffix=".rc") as startup:
        command = [shell]
        if Path(shell).name == "bash":  # whose own start-up file sets PS1 and maybe PATH
            startup.write(
                "[ -r ~/.bashrc ] && . ~/.bashrc\n"
                f'PATH={str(commands)!r}{os.pathsep}"$PATH"\n'
                "PS1='(qga guest) '\"$PS1\"\n"
            )
            startup.flush()
            command += ["--rcfile", startup.name]
        subprocess.run(command, env=environment, check=False)


if __name__ == "__main__":
    sys.exit(main())
