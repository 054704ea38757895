"""The frame of every public method: faults get the name of the operation and of the actor."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault
from actingweb.db.policy.clock import call
from actingweb.db.utils import clean_text

__all__ = ["operation", "streaming"]

P = ParamSpec("P")
T = TypeVar("T")


def operation(op: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a public method: a `Fault` inside it is raised as the `DbError` of operation `op`."""

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            # Without a function's cost: this is on the way of all calls.
            outermost = call.began is None
            if outermost:
                call.began = monotonic()
            error: DbError
            try:
                return method(*args, **kwargs)
            except Fault as fault:
                error = _named(fault, op, method, args, kwargs)
            except DbError as inner:
                error = inner.with_traceback(None)
            except RecursionError:
                error = _named(_too_deep(), op, method, args, kwargs)
            finally:
                if outermost:
                    call.began = None
                # A report that shows the variables of each frame must not find the arguments in this one.
                del args, kwargs
            # Outside the handler: the fault, which knows the driver's exception, must not become the context. It begins
            # its traceback here: the frames below hold what is stored.
            raise error

        return wrapper

    return decorate


def streaming(op: str) -> Callable[[Callable[P, Iterator[T]]], Callable[P, Iterator[T]]]:
    """Decorate a public generator method like `operation`."""

    def decorate(method: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
        @wraps(method)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            try:
                yield from method(*args, **kwargs)
                return
            except Fault as fault:
                error = _named(fault, op, method, args, kwargs)
            finally:
                del args, kwargs
            raise error

        return wrapper

    return decorate


def _named(fault: Fault, op: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> DbError:
    arguments = inspect.signature(method).bind(*args, **kwargs).arguments
    owner = arguments.get("self")
    actor_id = arguments.get("actor_id") or getattr(owner, "actor_id", None) or getattr(owner, "_actor_id", None)
    handle = getattr(owner, "handle", None)
    if actor_id is None and handle is not None:
        actor_id = getattr(handle, "id", None)
    return fault.named(op, clean_text(actor_id) if isinstance(actor_id, str) else None)


def _too_deep() -> Fault:
    return Fault(DbError, "the data is nested too deeply for what is left of the stack: call from fewer nested calls")
