"""The C modules behind `signal` and `socket`.

The Python ones load enum and selectors, which would be a third of the agent's memory and start-up
time, and add nothing that it needs.
"""

import _socket as socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

__all__ = ["signal", "socket"]
