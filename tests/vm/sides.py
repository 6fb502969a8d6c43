"""Both agents in the same guest: what each answers to the same request.

Used by the tests in this folder. Ours is on the port under test, the stock agent on the other.
"""

from typing import Any, NamedTuple

import qga
from tests.vm import control
from tests.vm.qemu import Guest


class Refusal(NamedTuple):
    """An error reply."""

    desc: str


def ask(client: qga.Client, name: str, /, **arguments: Any) -> Any:
    """What our agent returns, or its refusal; in argument names, ``_`` stands for ``-``."""
    try:
        return client.call(name, {key.replace("_", "-"): v for key, v in arguments.items()})
    except qga.CommandError as error:
        return Refusal(error.desc)


def ask_stock(guest: Guest, name: str, /, **arguments: Any) -> Any:
    """The same of the stock agent."""
    try:
        return guest.control.execute(name, **arguments)
    except control.CommandError as error:
        return Refusal(str(error))


class Sides:
    """``sides(name, **arguments)`` asks the stock agent, then ours."""

    def __init__(self, guest: Guest, client: qga.Client) -> None:
        self.guest = guest
        self.client = client

    def __call__(self, name: str, /, **arguments: Any) -> tuple[Any, Any]:
        """The answers of the two: that of the stock agent comes first."""
        stock = ask_stock(self.guest, name, **arguments)
        return stock, ask(self.client, name, **arguments)

    def agreed(self, name: str, /, **arguments: Any) -> Any:
        """The answer that both give."""
        stock, ours = self(name, **arguments)
        assert ours == stock, (name, arguments, stock, ours)
        return ours
