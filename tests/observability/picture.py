"""Draws the panels of the dashboard: `python -m tests.observability.picture`, two minutes, writes docs/dashboard.png.

The metrics are recorded while both databases work, with troubles now and then, and a real Prometheus answers the
dashboard's queries. Grafana itself is not needed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
from prometheus_client import CollectorRegistry

from actingweb import prometheus
from actingweb.db.settings import Settings
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Target
from testbed.dynamodb_proxy import spoiling_proxy
from testbed.prometheus import HOW_TO_GET_IT, Prometheus, find_programs, serving
from testbed.provisioning import dynamodb_server, new_schema, new_tables, postgres_server, use
from testbed.tcp_proxy import tcp_proxy
from tests.live import served
from tests.observability.recorded import Work, record

_ROOT = Path(__file__).parents[2]
_STEPS, _STEP = 120, 1.0
_VARIABLES = {"$system": ".*", "$job": ".*", "$__rate_interval": "15s", "$__range": "120s"}


def _draw(server: Prometheus, end: float) -> None:
    panels = json.loads((_ROOT / "deploy/monitoring/dashboard.json").read_text())["panels"]
    plt.style.use(_ROOT / "benchmarks/plots.mplstyle")
    _, axes = plt.subplots(len(panels) // 3, 3, figsize=(18, 3.4 * len(panels) // 3), layout="constrained")
    for panel, ax in zip(panels, axes.flat, strict=True):
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in _VARIABLES.items():
                query = query.replace(variable, value)
            for series in server.query_range(query, end - _STEPS * _STEP, end, _STEP):
                name = _filled(target["legendFormat"], series["metric"])
                points = [(at - end, float(value)) for at, value in series["values"] if value != "NaN"]
                if points:
                    ax.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
        ax.set_title(f"{panel['title']} ({panel['fieldConfig']['defaults']['unit']})", fontsize=10)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("seconds", fontsize=7)
        ax.legend(fontsize=6, loc="upper left", frameon=True, framealpha=0.9, facecolor="white")
    plt.savefig(_ROOT / "docs/dashboard.png", dpi=70)


def _filled(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def main() -> int:
    """Record and draw."""
    programs = find_programs()
    if programs is None:
        print(HOW_TO_GET_IT, file=sys.stderr)
        return 1
    with postgres_server() as postgres, new_schema(postgres), dynamodb_server() as dynamodb, new_tables(dynamodb):
        own = {name: os.environ[name] for name in ("PG_DB_HOST", "PG_DB_PORT")}
        state = State(Target(Settings.from_environment(os.environ).postgresql))
        served.fill(state)
        with (
            tcp_proxy(own["PG_DB_HOST"], int(own["PG_DB_PORT"])) as tcp,
            spoiling_proxy(os.environ["AWS_DB_HOST"]) as http,
        ):
            through = {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(tcp.port), "AWS_DB_HOST": http.url}
            use({**through, "DATABASE_BACKEND": "postgresql", "AWS_DB_MAX_ATTEMPTS": "3"})
            registry = CollectorRegistry()
            prometheus.instrument(registry)
            recordings = record(Work(tcp, http, state), registry, _STEPS, _STEP)
            end = time.time()
            prometheus.uninstrument()
            use(own)
    with serving(programs, *recordings) as server:
        _draw(server, end)
    return 0


if __name__ == "__main__":
    sys.exit(main())
