"""Runs a command-line program, and ends it properly if its output cannot be written."""

from __future__ import annotations

import atexit
import io
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["CLOSED_PIPE", "run"]

CLOSED_PIPE = 141
"""The exit code when the reader of stdout has gone: 128 plus the number of SIGPIPE, as in a shell."""


def run(main: Callable[[], int | None], failed: int) -> NoReturn:
    """Run `main`, write out all that it printed, and exit with the code that it returns.

    If the reader of stdout has gone, exit silently with `CLOSED_PIPE`. If stdout is closed from the beginning or cannot
    be written, print one line on stderr and exit with the code `failed`. Output that stderr cannot take is lost.
    """
    # At its exit Python restores the default actions of signals. A Ctrl-C at that time would replace the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    is_closed = sys.stdout is None
    _open_closed()
    sys.stderr = _watched(sys.stderr, None)
    if is_closed:
        _refuse("it is closed", failed)
    sys.stdout = _watched(sys.stdout, failed)
    try:
        code = main()
    finally:
        sys.stdout.flush()
    sys.exit(code)


def _open_closed() -> None:
    """Open the standard streams that are closed, so that no other file or socket gets their descriptors."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it stays open


def _watched(stream: TextIO, failed: int | None) -> TextIO:
    """Return a replacement of stdout or stderr that handles a failed write as `_Output` does."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(stream.fileno(), failed)),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.FileIO):
    """The file under a stream. The first failed write ends the program, unless `failed` is None; others are ignored."""

    def __init__(self, descriptor: int, failed: int | None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._failed = failed
        self._is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        if not self._is_lost:
            try:
                return self._written(data)
            except OSError as error:
                self._is_lost = True
                self._end(error)
        return memoryview(data).nbytes

    def _written(self, data: ReadableBuffer) -> int:
        while (count := super().write(data)) is None:
            # The descriptor is non-blocking: wait until it can be written.
            select.select([], [self], [])
        return count

    def _end(self, error: OSError) -> None:
        if self._failed is None:
            return
        if isinstance(error, BrokenPipeError):
            raise SystemExit(CLOSED_PIPE)
        _refuse(error.strerror, self._failed)


def _refuse(reason: str | None, code: int) -> NoReturn:
    print(f"ERROR: stdout cannot be written: {reason}", file=sys.stderr)
    sys.exit(code)
