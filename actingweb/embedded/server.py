"""What the private servers have in common: their life from `start` to `stop`."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from actingweb.embedded.process import EmbeddedServerError, ServerProcess, start_on_free_port


class EmbeddedServer(ABC):
    """A server on 127.0.0.1 that is gone, data included, after `stop` or the `with` block.

    Every method raises `EmbeddedServerError` if the server cannot do what is asked.
    """

    start_seconds = 60.0

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._process: ServerProcess | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The server's private directory, with `server.log`."""
        if self._directory is None:
            raise EmbeddedServerError("the server is not started")
        return self._directory

    @property
    def pid(self) -> int:
        """The pid of the server's main process."""
        return self._started().pid

    def start(self) -> None:
        """Start an empty server at a free port."""
        self._directory = self._make_directory()
        try:
            self._prepare()
            start_on_free_port(self._start_at)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its data. Do nothing if it is not started."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def kill(self) -> None:
        """Kill the server and its children with SIGKILL; `restart` brings it back."""
        self._started().kill()

    def restart(self) -> None:
        """Start the server again on its old port, stopping it before if it runs."""
        process = self._started()
        process.stop()
        self._remove_leftovers()
        process.start(self._answers, self.start_seconds)

    def _started(self) -> ServerProcess:
        if self._process is None:
            raise EmbeddedServerError("the server is not started")
        return self._process

    def _start_at(self, port: int) -> None:
        self._port = port
        self._process = self._make_process()
        self._process.start(self._answers, self.start_seconds)

    @abstractmethod
    def _make_directory(self) -> Path:
        """Make the private directory."""

    @abstractmethod
    def _prepare(self) -> None:
        """Fill the private directory."""

    @abstractmethod
    def _make_process(self) -> ServerProcess:
        """Describe the process that serves at the port."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell if the server serves."""

    @abstractmethod
    def _remove_leftovers(self) -> None:
        """Remove what a killed server leaves behind and the next one would trip over."""
