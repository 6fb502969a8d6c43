"""HTTP and TLS, who asks, whether they may, and whether the parameters are those of the schema."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

from .certificates import Certificates
from .monitor import Died
from .verbs import UNRESTRICTED, Machine, Parameter, table

TOKEN = "tester@pve!unit=4f9c6b1e-0d0c-4a6e-9d62-3c1f0a7c2b11"
USER, PASSWORD = "tester@pve", "a secret one"

_AGENT = "/api2/json/nodes/{node}/qemu/{vmid}/agent"
_NOT_DEFINED = (
    "property is not defined in schema and the schema does not allow additional properties"
)


@dataclass
class Options:
    """How the server is to behave.

    Attributes:
        rights: what the token and the user may.
        offsets: whether `file-read` has offsets, as since 2026.
        post: the most bytes of a request.
        otp: the one-time password that the user needs.
        failure: a status and text to answer calls of the agent with.
        drop: end the connection in place of an answer.
        pause: seconds that each call of the agent takes.
        hidden: verbs that this server does not have.
    """

    rights: set[str] = field(default_factory=lambda: {UNRESTRICTED, "VM.PowerMgmt"})
    offsets: bool = True
    post: int = 512 * 1024
    otp: str | None = None
    failure: tuple[int, str] | None = None
    drop: bool = False
    pause: float = 0.0
    hidden: tuple[str, ...] = ()


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors


class Dropped(Exception):
    """The connection is to end without an answer."""


class Server(ThreadingHTTPServer):
    """The API's server on a port of this machine.

    Attributes:
        options: how it behaves; may be changed at any time.
        machine: the one that it knows.
        asked: the verbs of the agent that it was asked for, with their parameters.
        tickets: those that are good.
        log_ins: how many there were.
        resources: the machines of the cluster.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, certificates: Certificates, agent: Path, options: Options) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.certificates = certificates
        self.options = options
        self.machine = Machine(agent)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.tickets: dict[str, str] = {}
        self.log_ins = 0
        self.resources = [
            {"type": "qemu", "vmid": 101, "node": "node2", "name": "web", "status": "running"},
            {"type": "qemu", "vmid": 100, "node": "node1", "name": "db", "status": "running"},
            {"type": "qemu", "vmid": 102, "node": "node1", "name": "old", "status": "stopped"},
            {"type": "lxc", "vmid": 103, "node": "node1", "name": "box", "status": "running"},
        ]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def verbs(self) -> list[str]:
        """The verbs that were asked for, in order."""
        return [verb for verb, _ in self.asked]

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here and not at the accept: a handshake that hangs holds up nobody.
        try:
            request.settimeout(60)
            secured = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return  # a client that does not trust us
        with secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away as they please."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        try:
            body = self._body()
            data = self._call(method, body)
        except Refused as refused:
            self._refuse(refused)
        except Died as died:
            self._refuse(Refused(500, str(died)))
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(200, "OK", {"data": data})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding"):
            raise Refused(501, "chunked transfer encoding not supported")
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.server.options.post:
            self.rfile.read(length)
            raise Refused(501, "for data too large")
        return self.rfile.read(length)

    def _refuse(self, refused: Refused) -> None:
        content: dict[str, Any] = {"data": None, "message": refused.message}
        if refused.errors:
            content["errors"] = refused.errors
        self.close_connection = True
        # The status line has the first line of the text, as bytes of the characters that are one.
        reason = refused.message.split("\n")[0].encode("latin-1", "replace").decode("latin-1")
        self._send(refused.status, reason, content)

    def _send(self, status: int, reason: str, content: Any) -> None:
        # A character for each byte of a program's output, then UTF-8.
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status, reason)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _call(self, method: str, body: bytes) -> Any:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        parameters = _query(parts.query)
        if body:
            if self.headers.get("Content-Type") != "application/json":
                raise Refused(506, "upload 'Content-Type' not implemented")
            parameters = {**json.loads(body), **parameters}
        if path == "/api2/json/access/ticket":
            return self._ticket(parameters)
        self._authenticate(method)
        if method == "GET" and path == "/api2/json/cluster/resources":
            return self.server.resources
        words = path.split("/")
        if len(words) < 8 or "/".join(words[:4] + words[5:6] + words[7:8]) != (
            "/api2/json/nodes/qemu/agent"
        ):
            raise Refused(501, f"Method '{method} {path}' not implemented")
        return self._agent(method, words[4], words[6], "/".join(words[8:]), parameters)

    # Who asks.

    def _ticket(self, parameters: dict[str, Any]) -> dict[str, Any]:
        server = self.server
        password, otp = parameters.get("password"), parameters.get("otp")
        renewed = password in server.tickets
        if parameters.get("username") != USER or (password != PASSWORD and not renewed):
            raise Refused(401, "authentication failure\n")
        server.log_ins += 1
        ticket = f"PVE:{USER}:{server.log_ins:08X}::a+b/c=="
        if server.options.otp and not renewed and otp != server.options.otp:
            if otp:
                raise Refused(401, "authentication failure\n")
            return {"ticket": f"PVE:!tfa!{ticket}", "NeedTFA": 1, "CSRFPreventionToken": "x"}
        csrf = f"{server.log_ins:08X}:csrf"
        server.tickets[ticket] = csrf
        return {"username": USER, "ticket": ticket, "CSRFPreventionToken": csrf, "cap": {}}

    def _authenticate(self, method: str) -> None:
        cookie = self.headers.get("Cookie", "")
        if cookie.startswith("PVEAuthCookie="):
            csrf = self.server.tickets.get(unquote(cookie.removeprefix("PVEAuthCookie=")))
            if csrf is None:
                raise Refused(401, "permission denied - invalid PVE ticket\n")
            if method != "GET" and self.headers.get("CSRFPreventionToken") != csrf:
                raise Refused(401, "Permission denied - invalid csrf token\n")
            return
        authorization = self.headers.get("Authorization")
        if authorization is None:
            raise Refused(401, "No ticket\n")
        if authorization != f"PVEAPIToken={TOKEN}":
            raise Refused(401, "Authentication failed!\n")

    # The agent's verbs.

    def _agent(self, method: str, node: str, vmid: str, name: str, given: dict[str, Any]) -> Any:
        options = self.server.options
        if node != "node1":
            raise Refused(
                500,
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or"
                " service not known\n",
            )
        verbs = table(offsets=options.offsets)
        for hidden in options.hidden:
            del verbs[hidden]
        if not name and method == "GET":
            return [{"name": verb} for verb in sorted(verbs)]
        verb = verbs.get(name)
        if verb is None or verb.method != method:
            raise Refused(501, f"Method '{method} {self.path}' not implemented")
        self.server.asked.append((name, given))
        time.sleep(options.pause)
        if options.drop:
            raise Dropped
        if options.failure:
            raise Refused(*options.failure)
        if not options.rights & set(verb.rights):
            needed = "|".join(verb.rights)
            raise Refused(403, f"Permission check failed (/vms/{vmid}, {needed})\n")
        _check(given, verb.parameters)
        if int(vmid) != self.server.machine.vmid:
            raise Died(
                f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist\n"
            )
        return verb.code(self.server.machine, given)


def _query(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        found[unquote(name)] = unquote_plus(value)
    return found


def _check(given: dict[str, Any], schema: dict[str, Parameter]) -> None:
    errors = {name: _NOT_DEFINED for name in given if name not in schema}
    for name, parameter in schema.items():
        if name not in given:
            if not parameter.optional:
                errors[name] = "property is missing and it is not optional"
            continue
        error = _wrong(given[name], parameter)
        if error:
            errors[name] = error
    if errors:
        raise Refused(400, "Parameter verification failed.\n", errors)


def _wrong(value: Any, parameter: Parameter) -> str | None:
    """What is wrong with *value*; None if nothing."""
    kind = parameter.kind
    failed = f"type check ('{kind}') failed"
    if kind == "array":
        return None if isinstance(value, list) and value else failed
    if isinstance(value, list | dict):
        return f"{failed} - got {type(value).__name__.upper()}"
    if kind == "boolean":
        return None if str(value) in ("0", "1") or isinstance(value, bool) else failed
    if kind == "integer":
        if not str(value).lstrip("-").isdecimal():
            return f"{failed} - got '{value}'"
        size, unit = int(value), "have a maximum value of"
    else:
        size, unit = len(str(value)), "only be characters long:"
    if parameter.maximum is not None and size > parameter.maximum:
        return f"value must {unit} {parameter.maximum}"
    if parameter.minimum is not None and size < parameter.minimum:
        return f"value must be at least {parameter.minimum}"
    return None


@contextmanager
def serving(
    certificates: Certificates, agent: Path, options: Options | None = None
) -> Iterator[Server]:
    """A server for the agent at the socket *agent*; it ends with the block."""
    server = Server(certificates, agent, options or Options())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
