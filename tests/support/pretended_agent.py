"""An agent that only pretends: `python pretended_agent.py SOCKET LOG`. It serves one client
at a time, and has no leases.
"""

import json
import socket
import sys
from pathlib import Path

ANSWERS = {
    "guest-fsfreeze-freeze": 2,
    "guest-fsfreeze-freeze-list": 2,
    "guest-fsfreeze-status": "frozen",
    "guest-fsfreeze-thaw": 2,
    "guest-shutdown": {},
}


def main(path: str, log: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            stream, _ = listener.accept()
            with stream, stream.makefile("rwb") as channel:
                for line in channel:
                    request = json.loads(line.lstrip(b"\xff"))
                    name = request["execute"]
                    with log.open("a") as file:
                        file.write(name + "\n")
                    if name == "guest-sync-delimited":
                        reply = (
                            b"\xff" + json.dumps({"return": request["arguments"]["id"]}).encode()
                        )
                    elif name in ANSWERS:
                        reply = json.dumps({"return": ANSWERS[name]}).encode()
                    else:
                        error = {"class": "CommandNotFound", "desc": f"{name} is not there"}
                        reply = json.dumps({"error": error}).encode()
                    channel.write(reply + b"\n")
                    channel.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
