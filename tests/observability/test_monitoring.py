"""`deploy/monitoring`: every query finds metrics that the layer has really made, and every alert fires."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry
from ruamel.yaml import YAML

from actingweb import otel, prometheus
from actingweb.db import get_actor, get_property
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Target
from testbed.dynamodb_proxy import spoiling_proxy
from testbed.prometheus import HOW_TO_GET_IT, Prometheus, Recording, find_programs, serving
from testbed.servers import DynamoDBTables, PostgresTables
from testbed.tcp_proxy import tcp_proxy
from tests.conftest import SetEnv
from tests.live import served

from .recorded import Work, record

MONITORING = Path(__file__).parents[2] / "deploy/monitoring"
STEPS, INTERVAL = 21, 15.0
VARIABLES = {"$system": ".*", "$job": ".*", "$__rate_interval": "1m", "$__range": "1h"}


def queries() -> list[tuple[str, str]]:
    """Return the queries of the dashboard, each with the title of its panel."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    groups = YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    return set(
        re.findall(r"\b(?:db_client|actingweb)_\w+(?=[\[{ )]|$)", re.sub(r"\(([^()]*)\)(?= \()", "", expression))
    )


@pytest.fixture(scope="module")
def programs() -> Path:
    """Return the directory of Prometheus and promtool."""
    found = find_programs()
    if found is None:
        pytest.skip(HOW_TO_GET_IT)
    return found


@pytest.fixture
def recordings(
    postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables, set_env: SetEnv
) -> Iterator[list[Recording]]:
    """Return the metrics of work on both databases."""
    postgres_tables.wipe()
    environment = {**postgres_tables.environment, **dynamodb_tables.environment}
    state = State(Target(Settings.from_environment(environment).postgresql))
    served.fill(state)
    registry = CollectorRegistry()
    with (
        tcp_proxy(environment["PG_DB_HOST"], int(environment["PG_DB_PORT"])) as tcp,
        spoiling_proxy(environment["AWS_DB_HOST"]) as http,
    ):
        through = {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(tcp.port), "AWS_DB_HOST": http.url}
        set_env(**{**environment, **through, "DATABASE_BACKEND": "postgresql", "AWS_DB_MAX_ATTEMPTS": "3"})
        prometheus.instrument(registry)
        try:
            yield record(Work(tcp, http, state), registry, STEPS, INTERVAL, hurry=True)
        finally:
            prometheus.uninstrument()
            set_env()
    served.drop(state)
    postgres_tables.wipe()
    dynamodb_tables.wipe()


def test_every_query_finds_recorded_metrics(recordings: list[Recording], programs: Path) -> None:
    with serving(programs, *recordings) as server:
        empty = [(title, query) for title, query in queries() if not found(server, query)]
        assert empty == []
        # All of it happened, so that it is more than zeros.
        for name in ("retries", "throttles", "unknown_outcomes", "lookup_collisions", "server_changes", "errors"):
            (total,) = found(server, f"sum(actingweb_db_{name}_total)")
            assert float(total["value"][1]) > 0, name
    recorded = set().union(*(recording.names for recording in recordings))
    assert {name for rule in rules() for name in metrics_of(rule["expr"])} - recorded == set()


def found(server: Prometheus, query: str) -> list[dict[str, Any]]:
    """Return the series of a query, as the dashboard asks it, at the end of the recording."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return server.query(query, time.time() - INTERVAL)


def test_every_alert_fires(programs: Path) -> None:
    told = subprocess.run(
        [str(programs / "promtool"), "test", "rules", "alerts-test.yml"],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    tests = YAML(typ="safe").load(MONITORING / "alerts-test.yml")["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"] and test["input_series"]
    }
    assert fired == {rule["alert"] for rule in rules()}


@pytest.mark.backends("postgresql")
def test_the_metrics_of_opentelemetry_have_the_same_names(backend: Backend, new_actor: Callable[..., str]) -> None:
    """So that one dashboard is for both."""
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader])
    own = CollectorRegistry()
    otel.instrument(meter_provider=provider)
    prometheus.instrument(own)
    try:
        for actor in (new_actor(), new_actor()):
            get_property(backend).set(actor, "email", "joe@example.com")
        get_actor(backend).get("a")
        ours, theirs = sampled(own), sampled(REGISTRY)
    finally:
        otel.uninstrument()
        prometheus.uninstrument()
        provider.shutdown()
    assert ours.keys() <= theirs.keys()
    assert {name for name in ours if not ours[name] <= theirs[name] | {"error_type", "db_collection_name"}} == set()


def sampled(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Return the metrics of ours that have samples, with the names of their labels."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {
        sample.name: set(sample.labels)
        for sample in samples
        if sample.name.startswith(("db_client", "actingweb_db")) and not sample.name.endswith("_created")
    }
