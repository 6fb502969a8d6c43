"""`operation` makes a method of a flow, once for the blocking and for the asynchronous clients.

    class Operations:
        read_file = operation(transfer.read_file)

    class Client(Blocking, Operations): ...        # client.read_file(path) -> bytes
    class AsyncClient(Awaiting, Operations): ...   # await client.read_file(path) -> bytes

Type checkers see the flow's own parameters, and its result as it is or as a coroutine. `method`
does the same for objects that have a state of their own, as a running program has: the flow gets
that state as its first argument. `opens` makes such an object of the client and the flow's result,
another for each kind of client.

The flows, and those objects, may be of modules that are `Deferred`: these are loaded when the
operation is first used or looked at, so that a client is no heavier than what it is used for.
"""

from __future__ import annotations

from abc import abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

    from .flows.steps import Flow

    P = ParamSpec("P")
    R = TypeVar("R")
    S = TypeVar("S")
    A = TypeVar("A")


class Blocking:
    """What carries out flows, and returns when they are done."""

    @abstractmethod
    def perform(self, flow: Flow[R]) -> R:
        """Carry out *flow*: an operation of several commands.

        >>> from qga.client.flows import session
        >>> client.files.perform(session.info()).version
        '10.2.0'
        """


class Awaiting:
    """What carries out flows in an event loop."""

    @abstractmethod
    async def perform(self, flow: Flow[R]) -> R:
        """Carry out *flow*: an operation of several commands.

        >>> from qga.client.flows import session
        >>> (await aclient.files.perform(session.info())).version
        '10.2.0'
        """


if TYPE_CHECKING:

    class operation(Generic[P, R]):  # noqa: N801 - a function at run time
        """A method that carries out *flow*."""

        def __init__(self, flow: Callable[P, Flow[R]]) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
        @overload
        def __get__(
            self, instance: Awaiting, owner: type
        ) -> Callable[P, Coroutine[Any, Any, R]]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

    class opens(Generic[P, S, A]):  # noqa: N801 - a function at run time
        """A method that makes an object of the client and the result of *flow*."""

        def __init__(
            self,
            flow: Callable[P, Flow[Any]],
            blocking: Callable[[Any, Any], S],
            awaiting: Callable[[Any, Any], A],
        ) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Blocking, owner: type) -> Callable[P, S]: ...
        @overload
        def __get__(
            self, instance: Awaiting, owner: type
        ) -> Callable[P, Coroutine[Any, Any, A]]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

    class method(Generic[P, R]):  # noqa: N801 - a function at run time
        """A method that carries out *flow*, which gets the instance's `_state` first."""

        def __init__(self, flow: Callable[Concatenate[Any, P], Flow[R]]) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
        @overload
        def __get__(
            self, instance: Awaiting, owner: type
        ) -> Callable[P, Coroutine[Any, Any, R]]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

else:

    class Deferred:
        """Stands for a module of this package, which is loaded when something of it is used."""

        def __init__(self, module):
            self._module = f"{__package__}.{module}"

        def __getattr__(self, name):
            return _Named(self._module, name)

    class _Named:
        """Something of a deferred module."""

        def __init__(self, module, name):
            self._module = module
            self._name = name

        def load(self):
            return getattr(__import__(self._module, fromlist=[self._name]), self._name)

    class _Later:
        """A method that becomes what *make* makes of a flow, when it is first looked at."""

        def __init__(self, make, flow):
            self._make = make
            self._flow = flow

        def __set_name__(self, owner, name):
            self._owner = owner
            self._name = name

        def __get__(self, instance, owner):
            function = self._make(self._flow.load())
            setattr(self._owner, self._name, function)
            return function if instance is None else function.__get__(instance, owner)

    def operation(flow):
        if isinstance(flow, _Named):
            return _Later(operation, flow)

        def perform(self, *args, **kwargs):
            return self.perform(flow(*args, **kwargs))

        return _presented(perform, flow, skipped=0)

    def opens(flow, blocking, awaiting):
        if isinstance(flow, _Named):
            return _Later(lambda flow: opens(flow, blocking, awaiting), flow)

        async def awaited(client, *args, **kwargs):
            state = await client.perform(flow(*args, **kwargs))
            return _loaded(awaiting)(client, state)

        def perform(self, *args, **kwargs):
            if isinstance(self, Blocking):
                return _loaded(blocking)(self, self.perform(flow(*args, **kwargs)))
            return awaited(self, *args, **kwargs)

        return _presented(perform, flow, skipped=0)

    def method(flow):
        def perform(self, *args, **kwargs):
            return self.perform(flow(self._state, *args, **kwargs))

        return _presented(perform, flow, skipped=1)

    def _loaded(made):
        return made.load() if isinstance(made, _Named) else made

    def _presented(function, flow, *, skipped):
        """*function*, with the name and documentation of *flow*, and its signature as a method."""
        function.__name__ = flow.__name__
        function.__qualname__ = flow.__qualname__
        function.__doc__ = flow.__doc__
        function.__module__ = flow.__module__
        function.__wrapped__ = _Signed(flow, skipped)
        return function

    class _Signed:
        """Where `inspect` finds the signature of a method; who does not look need not load it."""

        def __init__(self, flow, skipped):
            self._flow = flow
            self._skipped = skipped

        @property
        def __signature__(self):
            import inspect

            signature = inspect.signature(self._flow)
            result = signature.return_annotation
            if isinstance(result, str):
                result = result.removeprefix("Flow[").removesuffix("]")
            this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
            parameters = [this, *list(signature.parameters.values())[self._skipped :]]
            return inspect.Signature(parameters, return_annotation=result)
