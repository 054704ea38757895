"""What can be imported, what an import loads and what it reads (2.1)."""

import ast
import importlib
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import actingweb.db
from actingweb.db.registry import Backend
from tests.support import use_variables_alone

ENTITIES = (
    "actor",
    "attribute",
    "peertrustee",
    "property",
    "property_lookup",
    "subscription",
    "subscription_diff",
    "subscription_suspension",
    "trust",
)
COMMON = (
    "actingweb.db",
    "actingweb.db.aio",
    "actingweb.db.exceptions",
    "actingweb.db.protocols",
    "actingweb.db.settings",
    "actingweb.db.utils",
)
DYNAMODB = (
    "actingweb.db.dynamodb",
    *(f"actingweb.db.dynamodb.{entity}" for entity in ENTITIES),
    "actingweb.db.dynamodb._ensure",
    "actingweb.db.verify_tables",
)
POSTGRESQL = (
    "actingweb.db.postgresql",
    *(f"actingweb.db.postgresql.{entity}" for entity in ENTITIES),
    "actingweb.db.postgresql.connection",
)
FILES = ("alembic.ini", "migrations/env.py", "migrations/script.py.mako", "migrations/versions")
NAMES = {
    "actingweb.db.settings": ("Settings", "get_settings", "reset_settings", "parse_bool"),
    "actingweb.db.utils": (
        "ensure_timezone_aware_iso",
        "sanitize_json_data",
        "canonical_connection_method",
        "compute_lookup_key",
    ),
}
CLASSES = {
    "actor": ("DbActor", "DbActorList"),
    "attribute": ("DbAttribute", "DbAttributeBucketList"),
    "peertrustee": ("DbPeerTrustee", "DbPeerTrusteeList"),
    "property": ("DbProperty", "DbPropertyList"),
    "property_lookup": ("DbPropertyLookup",),
    "subscription": ("DbSubscription", "DbSubscriptionList"),
    "subscription_diff": ("DbSubscriptionDiff", "DbSubscriptionDiffList"),
    "subscription_suspension": ("DbSubscriptionSuspension",),
    "trust": ("DbTrust", "DbTrustList"),
}
MODELS = {
    "actor": ("ActorModel", "Actor", "CreatorIndex"),
    "attribute": ("AttributeModel", "Attribute"),
    "peertrustee": ("PeerTrusteeModel", "PeerTrustee"),
    "property": ("PropertyModel", "Property", "PropertyLegacyModel", "PropertyLegacy"),
    "property_lookup": ("PropertyLookupV2Model", "PropertyLookupV2", "PropertyLookupModel", "PropertyLookup"),
    "subscription": ("SubscriptionModel", "Subscription"),
    "subscription_diff": ("SubscriptionDiffModel", "SubscriptionDiff"),
    "subscription_suspension": ("SubscriptionSuspensionModel", "SubscriptionSuspension"),
    "trust": ("TrustModel", "Trust", "SecretIndex"),
}
DYNAMODB_DRIVERS = {"pynamodb", "botocore", "boto3"}
POSTGRESQL_DRIVERS = {"psycopg", "psycopg_pool", "psycopg_binary"}
TOOLS = {
    *("sqlalchemy", "alembic", "mako"),
    *("pydantic", "pydantic_core", "pydantic_settings", "typer", "click", "rich"),
}
FORBIDDEN = {"dynamodb": TOOLS | POSTGRESQL_DRIVERS, "postgresql": TOOLS | DYNAMODB_DRIVERS}
OPERATIONS = """
from actingweb.db import get_actor_list, get_attribute, get_property, get_subscription, get_trust, load_backend
config = load_backend()
get_property(config).set(actor_id={actor!r}, name="email", value="a@example.com")
assert get_property(config).get_actor_id_from_property(name="email", value="a@example.com") == {actor!r}
get_attribute(config).set_attr(actor_id={actor!r}, bucket="b", name="n", data=[1], ttl_seconds=60)
get_trust(config).create(actor_id={actor!r}, peerid="p", secret="token")
get_subscription(config).create(actor_id={actor!r}, peerid="p", subid="s")
assert len(get_actor_list(config).fetch()) == 1
"""
UNNEEDED = {
    *("healthcheck", "metrics", "program", "statistics", "transactions"),
    *("postgresql.lending", "postgresql.rights", "postgresql.schema_state"),
}
"""Modules of `actingweb.db` that only failures, tools and other calls need. They would make a cold start longer."""
SOURCES = sorted(Path(actingweb.db.__file__).parent.rglob("*.py"))
# Run before an import: reports who in actingweb.db reads the environment, in whichever way.
SPY = """
import os, sys
class Spy(type(os.environ)):
    def _note(self):
        frame = sys._getframe(2)
        while frame.f_code.co_filename.endswith(("os.py", "_collections_abc>", "_collections_abc.py")):
            frame = frame.f_back
        if "actingweb" in frame.f_code.co_filename:
            print(frame.f_code.co_filename, frame.f_lineno)
    def __getitem__(self, name):
        self._note()
        return super().__getitem__(name)
    def __iter__(self):
        self._note()
        return super().__iter__()
os.environ.__class__ = Spy
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def output_of(code: str) -> list[str]:
    done = run(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def packages_after(*modules: str) -> set[str]:
    """Return the names of all top-level packages that importing these modules in a new process loads."""
    code = f"import sys, {', '.join(modules)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(output_of(code))


@pytest.mark.parametrize("module", [*COMMON, *DYNAMODB, *POSTGRESQL, "actingweb.db.postgresql.schema"])
def test_the_module_imports(module: str) -> None:
    assert importlib.import_module(module).__doc__


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_the_module_has_the_name(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("file", FILES)
def test_the_file_is_part_of_the_package(file: str) -> None:
    found = files("actingweb.db.postgresql").joinpath(file)
    assert found.is_dir() if file.endswith("versions") else found.is_file()


@pytest.mark.parametrize("database", ["dynamodb", "postgresql"])
@pytest.mark.parametrize(("entity", "cls"), [(entity, cls) for entity, group in CLASSES.items() for cls in group])
def test_a_backend_package_exports_all_its_classes(database: str, entity: str, cls: str) -> None:
    package = importlib.import_module(f"actingweb.db.{database}")
    module = importlib.import_module(f"actingweb.db.{database}.{entity}")
    assert getattr(package, cls) is getattr(module, cls)
    assert cls in package.__all__


@pytest.mark.parametrize(("entity", "model"), [(entity, model) for entity, group in MODELS.items() for model in group])
def test_dynamodb_exports_every_model_under_both_names(entity: str, model: str) -> None:
    package = importlib.import_module("actingweb.db.dynamodb")
    module = importlib.import_module(f"actingweb.db.dynamodb.{entity}")
    assert getattr(package, model) is getattr(module, model)


@pytest.mark.parametrize("name", ["auto_create_enabled", "set_auto_create", "reset_ensure_cache"])
def test_dynamodb_exports_table_creation(name: str) -> None:
    package = importlib.import_module("actingweb.db.dynamodb")
    assert getattr(package, name) is getattr(importlib.import_module("actingweb.db.dynamodb._ensure"), name)


def test_the_interface_loads_no_driver() -> None:
    assert not packages_after(*COMMON) & (DYNAMODB_DRIVERS | POSTGRESQL_DRIVERS | TOOLS)


@pytest.mark.parametrize(
    ("database", "modules", "drivers"), [("dynamodb", DYNAMODB, set()), ("postgresql", POSTGRESQL, POSTGRESQL_DRIVERS)]
)
def test_a_backend_loads_only_its_own_driver(database: str, modules: tuple[str, ...], drivers: set[str]) -> None:
    loaded = packages_after(*modules)
    assert not loaded & FORBIDDEN[database]
    assert loaded & (DYNAMODB_DRIVERS | POSTGRESQL_DRIVERS) == drivers


@pytest.mark.backends("dynamodb", "postgresql")
def test_operations_load_only_their_own_driver(backend: Backend, actor_id: str) -> None:
    loaded = output_of(
        f"{OPERATIONS.format(actor=actor_id)}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    assert not set(loaded) & FORBIDDEN[backend.database]


@pytest.mark.backends("dynamodb", "postgresql")
def test_a_first_read_loads_nothing_that_it_does_not_need(backend: Backend, actor_id: str) -> None:
    read = f"from actingweb.db import get_actor, load_backend; assert get_actor(load_backend()).get({actor_id!r})"
    loaded = {name.removeprefix("actingweb.db.") for name in output_of(f"{read}\nimport sys\nprint(*sys.modules)")}
    assert f"{backend.database}.actor" in loaded
    assert loaded & UNNEEDED == set()


@pytest.mark.parametrize("module", sorted(UNNEEDED))
def test_a_module_that_a_first_read_does_not_need_exists(module: str) -> None:
    """So that the test above can fail."""
    assert importlib.import_module(f"actingweb.db.{module}").__doc__


@pytest.mark.backends("dynamodb")
def test_calls_load_no_pynamodb(backend: Backend, actor_id: str) -> None:
    """Only whoever asks for a model loads PynamoDB, and whatever creates a table."""
    code = f"""{OPERATIONS.format(actor=actor_id)}
import sys
from actingweb.db import health, verify_tables
assert health(ready=True)["status"] == "ok"
assert verify_tables.verify_tables()[1] == []
print("pynamodb" in sys.modules)
from actingweb.db.dynamodb.actor import Actor
print("pynamodb" in sys.modules)
"""
    assert output_of(code) == ["False", "True"]


@pytest.mark.backends("dynamodb")
def test_calls_load_no_botocore_if_variables_say_all(
    backend: Backend, actor_id: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes most of a cold start, of AWS Lambda for example."""
    use_variables_alone(environment, tmp_path)
    environment.setenv("AWS_DB_TRANSPORT", "wire")
    code = f"{OPERATIONS.format(actor=actor_id)}\nimport sys\nprint('botocore' in sys.modules)"
    assert output_of(code) == ["False"]
    environment.setenv("AWS_MAX_ATTEMPTS", "1")  # may mean something to botocore
    assert output_of(code.replace("len(get_actor_list(config).fetch()) == 1", "True")) == ["True"]


@pytest.mark.parametrize("entity", [None, *ENTITIES])
def test_a_name_that_is_no_model_is_an_attribute_error(entity: str | None) -> None:
    module = importlib.import_module(".".join(["actingweb.db.dynamodb", *([entity] if entity else [])]))
    with pytest.raises(AttributeError, match=f"{module.__name__}.* no attribute 'Nothing'"):
        _ = module.Nothing


@pytest.mark.parametrize("module", ["pydantic", "alembic", "sqlalchemy", "typer", "rich"])
def test_a_forbidden_module_is_seen(module: str) -> None:
    """So that the tests above can fail."""
    assert packages_after(module) & TOOLS


@pytest.mark.parametrize("modules", [COMMON, DYNAMODB, POSTGRESQL], ids=["common", "dynamodb", "postgresql"])
def test_an_import_loads_nothing_of_actingweb_outside_the_package(modules: tuple[str, ...]) -> None:
    code = f"import sys, {', '.join(modules)}\nprint(*[name for name in sys.modules if name.startswith('actingweb.')])"
    loaded = output_of(code)
    assert [name for name in loaded if not f"{name}.".startswith("actingweb.db.")] == []
    assert "actingweb.db.exceptions" in loaded


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: "/".join(source.parts[-2:]))
def test_a_source_imports_nothing_of_actingweb_outside_the_package(source: Path) -> None:
    outside = [
        name
        for name in _imported(source)
        if name.startswith("actingweb") and not f"{name}.".startswith("actingweb.db.")
    ]
    assert outside == []


@pytest.mark.parametrize("modules", [COMMON, DYNAMODB, POSTGRESQL], ids=["common", "dynamodb", "postgresql"])
def test_an_import_reads_no_environment(modules: tuple[str, ...]) -> None:
    assert output_of(f"{SPY}\nimport {', '.join(modules)}") == []


def test_the_spy_sees_a_read_of_the_environment() -> None:
    """So that the test above can fail."""
    reads = output_of(f"{SPY}\nimport actingweb.db; actingweb.db.get_settings()")
    assert any(read.endswith("settings.py") for read in reads)


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool"])
@pytest.mark.parametrize(
    "statement",
    [
        "import actingweb.db.postgresql.actor",
        "from actingweb.db.postgresql import connection",
        "from actingweb.db import load_backend; load_backend('postgresql')",
    ],
)
def test_a_missing_driver_is_an_import_error_that_names_the_extra(missing: str, statement: str) -> None:
    done = run(f"import sys; sys.modules[{missing!r}] = None\n{statement}")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError:")
    assert "actingweb-db[postgresql]" in last


def test_dynamodb_works_without_psycopg() -> None:
    done = run(
        "import sys; sys.modules['psycopg'] = None\nfrom actingweb.db import load_backend; load_backend('dynamodb')"
    )
    assert done.returncode == 0, done.stderr


def _imported(source: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import could leave the package"
            names.append(node.module or "")
    return names
