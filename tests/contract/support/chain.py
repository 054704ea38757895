"""What hangs on an exception."""

import traceback


def error_chain(error: BaseException) -> list[BaseException]:
    """Return the exception and all that it names as cause or context, however deep."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        candidate = waiting.pop()
        if candidate is not None and candidate not in found:
            found.append(candidate)
            waiting += [candidate.__cause__, candidate.__context__]
    return found


def shown_text(error: BaseException) -> str:
    """Return everything that a log of the exception, its chain and its arguments could show."""
    parts = ["".join(traceback.format_exception(error))]
    for link in error_chain(error):
        parts += [str(link), repr(link), repr(link.args), repr(vars(link)), *getattr(link, "__notes__", ())]
    return "\n".join(parts)
