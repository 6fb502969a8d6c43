"""List the guests of a libvirt, or of the targets files, and how their agents are.

python inventory.py libvirt+qemu:///system
python inventory.py
"""

import argparse
import sys

import qga


def how(target: str) -> tuple[str, str]:
    """The state of an agent in a word, and what runs there."""
    try:
        with qga.connect(target, timeout=5) as guest:
            state = guest.state()
            return state.word, (guest.os().pretty_name or "") if state.ready else state.sentence
    except qga.QgaError as error:
        return "no-channel", str(error)


def main() -> None:
    parser = argparse.ArgumentParser(description="List guests and how their agents are.")
    parser.add_argument("place", nargs="?", help="a libvirt; by default what targets files name")
    options = parser.parse_args()
    try:
        known = qga.targets(options.place)
    except qga.QgaError as error:
        sys.exit(str(error))
    for each in known:
        # Where it is known already that there is no agent, nobody has to wait for it.
        word, what = ("no-agent", "") if each.agent == "none" else how(each.target)
        print(f"{each.name:20} {word:12} {what}")


if __name__ == "__main__":
    main()
