"""A server for the tests that behaves as Proxmox VE's API does for the guest agent of one machine.

Its facts are those of the API's published schema and sources: paths, methods, parameters and their
limits, rights, the forms of results and errors, tickets and tokens, how text is decoded and encoded
on the way. HTTP and TLS are real; behind it stands a real agent on a unix socket.

- `server` is HTTP, TLS, authentication and the checking of rights and parameters;
- `verbs` is the table of the agent's verbs, and what each does;
- `monitor` passes a command on to the agent;
- `certificates` makes those that the server shows.
"""

from .certificates import Certificates, make
from .server import Options, Server, serving

__all__ = ["Certificates", "Options", "Server", "make", "serving"]
