"""A real Prometheus with metrics that were recorded before, and promtool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from prometheus_client import CollectorRegistry

from actingweb.embedded.process import free_port

__all__ = ["HOW_TO_GET_IT", "Prometheus", "Recording", "find_programs", "serving"]

HOW_TO_GET_IT = "Prometheus with promtool is not installed: apt-get install prometheus, or your system's package"

_SECONDS = 120


def find_programs() -> Path | None:
    """Return the directory of `prometheus` and `promtool`; where apt has the package, it is unpacked into a cache."""
    found = shutil.which("promtool")
    if found and shutil.which("prometheus"):
        return Path(found).parent
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb") / "prometheus"
    programs = cache / "usr" / "bin"
    if not (programs / "promtool").exists() and shutil.which("apt-get") and shutil.which("dpkg"):
        with tempfile.TemporaryDirectory() as name:
            for command in (["apt-get", "download", "prometheus"], ["dpkg", "-x", "*.deb", str(cache)]):
                files = [str(path) for path in Path(name).glob("*.deb")]
                words = [word for part in command for word in (files if part == "*.deb" else [part])]
                if subprocess.run(words, cwd=name, capture_output=True, timeout=_SECONDS, check=False).returncode:
                    return None
    return programs if (programs / "promtool").exists() else None


class Recording:
    """The samples of a registry over time."""

    def __init__(self, registry: CollectorRegistry, job: str) -> None:
        self._registry = registry
        self._job = job
        self._lines: dict[str, list[str]] = {}

    def take(self, at: float) -> None:
        """Keep the samples of now as those of this time, in seconds since 1970."""
        for family in self._registry.collect():
            for sample in family.samples:
                labels = {**sample.labels, "job": self._job, "instance": "app:9187"}
                text = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
                series = f"{sample.name}{{{text}}}"
                if not sample.name.endswith("_created"):
                    self._lines.setdefault(series, []).append(f"{series} {float(sample.value)} {at:.3f}")

    @property
    def names(self) -> set[str]:
        """The names of the metrics."""
        return {series.partition("{")[0] for series in self._lines}

    def text(self) -> str:
        """Return all samples in the format of OpenMetrics, without its end."""
        return "".join(f"{line}\n" for lines in self._lines.values() for line in lines)


class Prometheus:
    """A server that answers queries."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str, at: float) -> list[dict[str, Any]]:
        """Return the series of an expression at a time."""
        return self._ask("query", query=expression, time=at)

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of an expression over a time."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step)

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=_SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@contextmanager
def serving(programs: Path, *recordings: Recording) -> Iterator[Prometheus]:
    """Yield a server that has these recordings."""
    with tempfile.TemporaryDirectory(prefix="aw-prometheus-") as name:
        directory = Path(name)
        (directory / "samples").write_text("".join(recording.text() for recording in recordings) + "# EOF\n")
        (directory / "prometheus.yml").write_text("scrape_configs: []\n")
        make = ["tsdb", "create-blocks-from", "openmetrics", "samples", "data"]
        subprocess.run([str(programs / "promtool"), *make], cwd=directory, check=True, capture_output=True)
        address = f"127.0.0.1:{free_port()}"
        options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([str(programs / "prometheus"), *options], cwd=directory, stderr=log)
        try:
            _wait(process, f"http://{address}/-/ready")
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    ends = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < ends:
        try:
            with urlopen(url, timeout=_SECONDS):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("Prometheus does not start")
