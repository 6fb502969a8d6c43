"""How Proxmox VE speaks to an agent: a connection for each command, in step by a number."""

import json
import socket
from itertools import count
from pathlib import Path
from typing import Any

# Seconds that commands have; the rest has 5.
_TIMES = {"guest-fsfreeze-freeze": 3600, "guest-fsfreeze-thaw": 180, "guest-fstrim": 600}
_TIMES["guest-shutdown"] = 600

# After these the channel may end without a reply.
_MAY_CLOSE = ("guest-shutdown", "guest-suspend-ram", "guest-suspend-disk", "guest-suspend-hybrid")

_numbers = count(1000001)


class Died(Exception):
    """What the API's code died of: the text of status 500."""


def command(
    path: Path, name: str, arguments: dict[str, Any] | None = None, seconds: float | None = None
) -> Any:
    """Have the agent at the socket *path* execute a command.

    Returns: what it returned, or `{"error": ...}`, as the API's own code gets it.

    Raises:
        Died: there was no answer.
    """
    number = next(_numbers)
    text = json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}) + "\n"
    text += json.dumps({"execute": name, "arguments": arguments or {}}, ensure_ascii=False) + "\n"
    failed = f"VM 100 qga command '{name}' failed"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(seconds or _TIMES.get(name, 5))
        try:
            stream.connect(str(path))
            stream.sendall(_written(text))
            return _reply(stream, number)
        except TimeoutError:
            raise Died(f"{failed} - got timeout\n") from None
        except ConnectionError:
            if name in _MAY_CLOSE:
                return None
            raise Died(f"{failed} - client closed connection\n") from None
        except OSError as error:
            raise Died(f"{failed} - unable to connect to VM 100 qga socket - {error}\n") from None


def _written(text: str) -> bytes:
    """Text as Perl writes it to a socket: characters beyond a byte are fatal."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Died("Wide character in syswrite at IO/Multiplex.pm line 1.\n") from None


def _reply(stream: socket.socket, number: int) -> Any:
    data = b""
    while True:
        found = data.rpartition(b"\xff")[2].split(b"\n") if data.endswith(b"\n") else []
        if len(found) > 2 and json.loads(found[0]).get("return") == number:
            reply = json.loads(found[1])
            return reply["return"] if "return" in reply else {"error": reply["error"]}
        piece = stream.recv(1 << 20)
        if not piece:
            raise ConnectionResetError
        data += piece
