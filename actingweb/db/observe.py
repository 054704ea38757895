"""Shows observers what the storage layer does: its calls, requests and connections, and what goes wrong.

An observer is an `Observer` whose methods do what its author wants. It sees names, numbers and classes of errors, never
a value, a key or a parameter. While there is none, calls and requests run exactly the code that they run without this
module. `actingweb.otel` and `actingweb.prometheus` are observers.
"""

import logging
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from threading import RLock, local
from time import monotonic
from typing import Any, NamedTuple, ParamSpec, TypeVar

from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault

__all__ = [
    "Call",
    "Observer",
    "Request",
    "Server",
    "add_observer",
    "backend_of",
    "begun_request",
    "identity",
    "note_retry",
    "observable",
    "observed",
    "observed_stream",
    "remove_observer",
    "switch",
    "tell",
]

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class Server(NamedTuple):
    """A server that connections lead to.

    Attributes:
        address: its name, or the directory of its socket.
        namespace: the database, on PostgreSQL.
        peer: the address and port that the name stood for, where a change of it means a fail-over.
    """

    backend: str
    address: str
    port: int | None = None
    namespace: str | None = None
    peer: str | None = None


class Call:
    """One call of a public method, in the thread that makes it.

    Attributes:
        backend: its name, such as `postgresql`.
        name: class and method, such as `DbProperty.set`.
        began: when it began, by `time.monotonic`.
        seconds: how long it took; None until it ends.
        error: the class name of the `DbError`, or of another exception; None if there was none.
        reason: of the `DbError`.
        attempt: 1, and one more for each repetition of its current request.
        kept: what observers keep for its end, by observer.
    """

    __slots__ = ("attempt", "backend", "began", "error", "kept", "name", "reason", "seconds")

    def __init__(self, backend: str, name: str) -> None:
        self.backend = backend
        self.name = name
        self.seconds: float | None = None
        self.error: str | None = None
        self.reason: str | None = None
        self.attempt = 1
        self.kept: dict[object, Any] = {}
        self.began = monotonic()


class Request:
    """One attempt to have the server execute something: a request to DynamoDB, or a round trip to PostgreSQL.

    Attributes:
        call: that needs it; None if it is not for a call, such as a COMMIT.
        operation: `SELECT`, `BATCH` for several statements, or the operation of DynamoDB, such as `GetItem`.
        collection: the table; None if there are several, or none.
        summary: the operations with their tables, such as `INSERT properties`.
        attempt: 1 for the first one.
        began: when it began, by `time.monotonic`.
        seconds: how long it took; None until it ends.
        error: the class name of the `DbError` that it means; None if the server did what it was asked.
        code: SQLSTATE or AWS error code; that of a condition that did not hold is no error.
        kept: what observers keep for its end, by observer.
    """

    __slots__ = (
        *("attempt", "began", "call", "code", "collection", "error", "kept", "operation", "seconds"),
        *("server", "summary"),
    )

    def __init__(self, server: Server, operation: str, collection: str | None, summary: str) -> None:
        self.server = server
        self.operation = operation
        self.collection = collection
        self.summary = summary
        self.call = call = _thread.call
        self.attempt = 1 if call is None else call.attempt
        self.seconds: float | None = None
        self.error: str | None = None
        self.code: str | None = None
        self.kept: dict[object, Any] = {}
        self.began = monotonic()

    def end(self, error: str | None = None, code: str | None = None) -> None:
        """Tell the observers how it ended."""
        self.seconds = monotonic() - self.began
        self.error = error
        self.code = code
        if error is None and self.call is not None:
            self.call.attempt = 1
        tell("request_ended", self)


class Observer:
    """Methods that are called when something happens, in the thread where it happens. Here they do nothing.

    They should return soon and must not use the storage, of which no observer is told. What they raise is logged once
    and otherwise ignored.
    """

    def call_began(self, call: Call) -> None:
        """A public method was called. Calls that it makes itself belong to it and are not told."""

    def call_ended(self, call: Call) -> None:
        """It returned or raised."""

    def request_began(self, request: Request) -> None:
        """A request is sent."""

    def request_ended(self, request: Request) -> None:
        """Its answer came, or it failed."""

    def connection_opened(self, server: Server) -> None:
        """A connection was opened."""

    def connection_closed(self, server: Server) -> None:
        """A connection was closed: it was not needed any more, or it was lost."""

    def connection_lost(self, server: Server) -> None:
        """The server or the network ended a connection, or the server did not answer on it."""

    def connection_failed(self, backend: str, error: str, reason: str) -> None:
        """A call, or one of its attempts, got no connection: see `DbError.reason`."""

    def connection_waited(self, backend: str, seconds: float) -> None:
        """A call waited until a connection became free. Those that get one at once are not told."""

    def pool_timed_out(self, backend: str) -> None:
        """No connection became free in time."""

    def server_changed(self, server: Server, former: Server) -> None:
        """New connections lead to another server than those that were lost."""

    def became_standby(self, server: Server) -> None:
        """The server accepts no more writes."""

    def retried(self, backend: str, error: str) -> None:
        """A request is repeated after this class of `DbError`."""

    def throttled(self, backend: str) -> None:
        """The server refused a request because it gets too many."""

    def outcome_unknown(self, backend: str) -> None:
        """A write was sent, and no answer came."""

    def lookup_collided(self, backend: str) -> None:
        """An indexed value was stored that another actor has claimed: see LOOKUP_COLLISION."""


class _Thread(local):
    call: Call | None = None
    is_telling = False


_thread = _Thread()
# Reentrant, since a switch may import a module that has switches.
_lock = RLock()
_observers: tuple[Observer, ...] = ()
_listeners: dict[str, tuple[Callable[..., None], ...]] = {}
_failed: set[int] = set()
_switches: list[Callable[[bool], None]] = []


def add_observer(observer: Observer) -> None:
    """Let an observer see what happens from now on, in all threads, also to objects that were made before."""
    with _lock:
        if observer not in _observers:
            _set((*_observers, observer))


def remove_observer(observer: Observer) -> None:
    """Take an observer away; nothing happens if it is not there. Calls under way may still be told to it."""
    with _lock:
        _set(tuple(other for other in _observers if other is not observer))


def _set(observers: tuple[Observer, ...]) -> None:
    global _observers, _listeners
    was_on, _observers = bool(_observers), observers
    names = [name for name in vars(Observer) if not name.startswith("_")]
    _listeners = {
        name: tuple(getattr(observer, name) for observer in observers if _has(observer, name)) for name in names
    }
    if was_on != bool(observers):
        for change in tuple(_switches):
            change(not was_on)


def _has(observer: Observer, name: str) -> bool:
    """Tell whether the observer does something in this method."""
    return getattr(type(observer), name, None) not in (None, getattr(Observer, name))


def switch(change: Callable[[bool], None]) -> None:
    """Call `change(True)` when there is an observer, `change(False)` when there is none any more."""
    with _lock:
        _switches.append(change)
        if _observers:
            change(True)


def observable(module: str) -> None:
    """Import a module and call its `observe(True)` when there is an observer, and so on, as `switch` does."""
    switch(lambda on: import_module(module).observe(on))


def tell(event: str, *facts: Any) -> None:
    """Tell the observers of an event: call their methods of that name. What one of these methods does is not told."""
    if not (listeners := _listeners.get(event)) or _thread.is_telling:
        return
    _thread.is_telling = True
    try:
        for listener in listeners:
            try:
                listener(*facts)
            except Exception as error:  # noqa: BLE001 - an observer must not break a call
                _report(listener, error)
    finally:
        _thread.is_telling = False


def _report(listener: Callable[..., None], error: Exception) -> None:
    """Log that an observer failed, the first time; its text may hold anything."""
    observer = getattr(listener, "__self__", listener)
    if id(observer) not in _failed:
        _failed.add(id(observer))
        _LOG.error(
            "observer %s failed with %s; more of its failures are ignored",
            type(observer).__name__,
            type(error).__name__,
        )


def observed(method: Callable[P, T]) -> Callable[P, T]:
    """Return a public method that tells observers of its calls."""

    def call_observed(*args: P.args, **kwargs: P.kwargs) -> T:
        if _thread.call is not None:
            return method(*args, **kwargs)
        call = _thread.call = Call(*identity(method, args))
        try:
            tell("call_began", call)
            return method(*args, **kwargs)
        except BaseException as error:
            call.error, call.reason = _outcome(error)
            raise
        finally:
            _thread.call = None
            _end(call)

    return call_observed


def observed_stream(method: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Return a public generator method that tells observers of its calls, which last until the generator ends."""

    def stream_observed(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        call = Call(*identity(method, args))
        items = method(*args, **kwargs)
        try:
            tell("call_began", call)
            while True:
                # Between two items the thread may make other calls, and another one may end the generator.
                former, _thread.call = _thread.call, call
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    _thread.call = former
                yield item
        except Exception as error:
            call.error, call.reason = _outcome(error)
            raise
        finally:
            _end(call)

    return stream_observed


def begun_request(server: Server, operation: str, collection: str | None, summary: str) -> Request:
    """Tell observers that a request is sent; return it, whose `end` has to be called."""
    request = Request(server, operation, collection, summary)
    tell("request_began", request)
    return request


def _end(call: Call) -> None:
    call.seconds = monotonic() - call.began
    tell("call_ended", call)


_identities: dict[tuple[object, type], tuple[str, str]] = {}


def identity(method: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, str]:
    """Return the backend and the name of a call with these arguments."""
    owner = args[0] if args else method
    kind = owner if isinstance(owner, type) else type(owner)
    found = _identities.get((method, kind))
    if found is None:
        of_class = method is not owner
        found = backend_of(owner), f"{kind.__name__}.{method.__name__}" if of_class else method.__name__
        _identities[method, kind] = found
    return found


def backend_of(owner: object) -> str:
    """Return the name of the backend that an object, a class or a function belongs to."""
    parts = str(getattr(owner, "__module__", "")).split(".")
    return parts[2] if parts[:2] == ["actingweb", "db"] and len(parts) > 2 else parts[0]


def _outcome(error: BaseException) -> tuple[str, str | None]:
    """Return the class name of the error that the caller gets, and its reason."""
    if isinstance(error, Fault):
        return error.error.__name__, error.reason
    if isinstance(error, DbError):
        return type(error).__name__, error.reason
    return ("DbError" if isinstance(error, RecursionError) else type(error).__name__), None


def note_retry() -> None:
    """Count an attempt of the thread's current call."""
    if _thread.call is not None:
        _thread.call.attempt += 1


def _after_fork() -> None:
    # Another thread of the parent may have held it.
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
