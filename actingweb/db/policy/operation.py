"""Wraps every public method: a fault inside it is raised as a `DbError` with the operation and the actor."""

import threading
from collections.abc import Callable, Iterator
from functools import wraps
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from actingweb.db.events import NOTEWORTHY_SECONDS, call_took, outcome_unknown
from actingweb.db.exceptions import DbError, DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.observe import backend_of, identity, observed, observed_stream, switch
from actingweb.db.utils import clean_text

__all__ = ["current_call", "operation", "streaming"]

P = ParamSpec("P")
T = TypeVar("T")


class _Call(threading.local):
    """The public call that the thread is executing.

    Attributes:
        began: when the outermost call began, by `time.monotonic`; None outside of calls. A backend that limits the time
            of a whole call counts from it, and can set it to a later time.
    """

    began: float | None = None


current_call = _Call()


def operation(op: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a public method: a `Fault` inside it is raised as the `DbError` of operation `op`."""

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        called = method

        @wraps(method)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            # Inlined: every public call runs this.
            began = None
            if current_call.began is None:
                began = current_call.began = monotonic()
            error: DbError
            try:
                return called(*args, **kwargs)
            except Fault as fault:
                error = _named(fault, op, method, args, kwargs)
            except DbError as inner:
                error = inner.with_traceback(None)
            except RecursionError:
                error = _named(_too_deep(), op, method, args, kwargs)
            finally:
                if began is not None:
                    current_call.began = None
                    if (seconds := monotonic() - began) > NOTEWORTHY_SECONDS:
                        call_took(*identity(method, args), seconds)
                # Error reports can show the variables of each frame, and the arguments may contain secrets.
                del args, kwargs
            # Raised outside the handlers, so that the fault and the driver's exception do not become the context. The
            # traceback begins here, because the frames below contain stored data.
            raise error

        def observe(on: bool) -> None:
            nonlocal called
            called = observed(method) if on else method

        switch(observe)
        return wrapper

    return decorate


def streaming(op: str) -> Callable[[Callable[P, Iterator[T]]], Callable[P, Iterator[T]]]:
    """Decorate a public generator method, as `operation` decorates other methods."""

    def decorate(method: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
        called = method

        @wraps(method)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            try:
                yield from called(*args, **kwargs)
                return
            except Fault as fault:
                error = _named(fault, op, method, args, kwargs)
            finally:
                del args, kwargs
            raise error

        def observe(on: bool) -> None:
            nonlocal called
            called = observed_stream(method) if on else method

        switch(observe)
        return wrapper

    return decorate


def _named(fault: Fault, op: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> DbError:
    # Imported here, because it takes time and only failures need it.
    import inspect

    arguments = inspect.signature(method).bind(*args, **kwargs).arguments
    owner = arguments.get("self", arguments.get("cls"))
    actor_id = arguments.get("actor_id") or getattr(owner, "actor_id", None) or getattr(owner, "_actor_id", None)
    handle = getattr(owner, "handle", None)
    if fault.error is DbOutcomeUnknownError:
        outcome_unknown(backend_of(method if owner is None else owner))
    if actor_id is None and handle is not None:
        actor_id = getattr(handle, "id", None)
    return fault.to_public_error(op, clean_text(actor_id) if isinstance(actor_id, str) else None)


def _too_deep() -> Fault:
    return Fault(
        DbError, "the data is nested too deeply for the rest of the stack: make the call at a lower depth of the stack"
    )
