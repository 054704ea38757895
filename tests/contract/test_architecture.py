"""How the package is built: what would let the rules above decay."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import actingweb.db
from actingweb.db import protocols, spi

PACKAGE = Path(actingweb.db.__file__).parent
MEMORY_BACKEND = Path(__file__).parents[1] / "memory_backend"
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if "versions" not in path.parts]
ENTITIES = {
    "actor.py",
    "attribute.py",
    "peertrustee.py",
    "property.py",
    "property_lookup.py",
    "subscription.py",
    "subscription_diff.py",
    "subscription_suspension.py",
    "trust.py",
}
LONGEST_FUNCTION = 60
# The two that name each of the 23 columns of a trust, as parameters and as fields.
LONG_LISTS = {"policy/trust.py create", "policy/trust.py modify"}
BARE = ("Exception", "BaseException")
# A command turns whatever stops it into a text and an exit status; what an application's own function raises can hold
# the password, and becomes a text too. The health check makes everything an answer, which says that it is an error. A
# thread hands what a call raises to the coroutine that awaits it. An observer that fails must not
# break the call that it observes.
COMMANDS = {"verify_tables.py", "password.py", "healthcheck.py", "observe.py", "workers.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


every_source = pytest.mark.parametrize("source", SOURCES, ids=name_of)


@pytest.mark.parametrize("source", [path for path in SOURCES if path.name in ENTITIES], ids=name_of)
def test_an_entity_catches_no_driver_error(source: Path) -> None:
    """Faults are mapped in one place per backend."""
    handlers = [node for node in nodes(source) if isinstance(node, ast.ExceptHandler)]
    caught = [ast.unparse(node.type) if node.type else "everything" for node in handlers]
    assert [name for name in caught if name in ("everything", *BARE) or "." in name] == []


@pytest.mark.parametrize("source", [path for path in SOURCES if path.name not in COMMANDS], ids=name_of)
def test_a_handler_of_every_exception_raises_it_again(source: Path) -> None:
    for node in nodes(source):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in BARE):
            assert any(isinstance(inner, ast.Raise) for inner in ast.walk(node)), f"line {node.lineno}"


@every_source
def test_no_function_is_longer_than_a_page(source: Path) -> None:
    functions = [node for node in nodes(source) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION]
    assert [name for name in long if f"{name_of(source)} {name}" not in LONG_LISTS] == []


@every_source
def test_only_settings_reads_the_environment(source: Path) -> None:
    reads = [
        node.lineno for node in nodes(source) if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert not reads or name_of(source) == "settings.py"


@every_source
def test_a_module_is_documented(source: Path) -> None:
    assert ast.get_docstring(ast.parse(source.read_text()))


@every_source
def test_no_assert_guards_production_code(source: Path) -> None:
    assert not any(isinstance(node, ast.Assert) for node in nodes(source))


@pytest.mark.parametrize("protocol", protocols.__all__)
def test_every_public_method_is_documented_by_its_protocol(protocol: str) -> None:
    tree = ast.parse(Path(protocols.__file__).read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == protocol)
    methods = [node for node in found.body if isinstance(node, ast.FunctionDef)]
    assert methods
    assert [node.name for node in methods if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("source", [path for path in SOURCES if path.parent.name == "postgresql"], ids=name_of)
def test_a_statement_written_by_hand_gets_its_parameters_by_name(source: Path) -> None:
    """What `rows.py` makes of the columns takes a record or a key as it is; no call spells such a tuple out."""
    calls = [node for node in nodes(source) if isinstance(node, ast.Call) and len(node.args) == 2]
    runs = [node for node in calls if ast.unparse(node.func) in ("read", "write", "write_row")]
    assert [ast.unparse(node) for node in runs if isinstance(node.args[1], ast.Tuple)] == []


@pytest.mark.parametrize("database", ["dynamodb", "postgresql"])
@pytest.mark.parametrize("entity", sorted(ENTITIES))
def test_a_backends_module_proves_that_its_classes_fit(database: str, entity: str) -> None:
    """As by `_entity: type[DbActorProtocol] = DbActor`, which makes the type checker compare all signatures."""
    tree = ast.parse((PACKAGE / database / entity).read_text())
    proved = [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.AnnAssign) and node.value]
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if name.startswith("Db")] == [name for name in proved if name.startswith("Db")]


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the absolute names that a source imports anywhere, functions included, but not for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def test_no_modules_import_one_another_in_a_circle() -> None:
    root = PACKAGE.parents[1]
    paths = {path: path.relative_to(root).with_suffix("").parts for path in (root / "actingweb").rglob("*.py")}
    modules = {".".join(parts).removesuffix(".__init__"): path for path, parts in paths.items()}

    def module_of(name: str) -> str:
        return name if name in modules else name.rpartition(".")[0]

    imports = {
        module: {module_of(name) for name in imported(ast.parse(path.read_text()))} & modules.keys() - {module}
        for module, path in modules.items()
    }
    assert len(imports["actingweb.db.registry"]) >= 2
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_a_backend_of_another_package_needs_only_the_public_names() -> None:
    """The memory backend is such a one."""
    names = {name for path in MEMORY_BACKEND.glob("*.py") for name in imported(ast.parse(path.read_text()))}
    ours = {name for name in names if name.startswith("actingweb")}
    assert ours <= {f"actingweb.db.spi.{name}" for name in spi.__all__}
    assert {f"actingweb.db.spi.{name}" for name in ("ActorPolicy", "Fault")} & ours


def test_all_names_for_backends_are_exported() -> None:
    assert (
        sorted(set(spi.__all__))
        == sorted(spi.__all__)
        == sorted(name for name in vars(spi) if not name.startswith("_"))
    )
