"""The command line tool: options, settings, secrets."""

from __future__ import annotations

import re
import socket
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from actingweb.cli import launch
from actingweb.migration.cli.password_option import PASSWORD_VARIABLE
from tests.migration.cli_tool import SCRIPT, Tool
from tests.migration.loads import DOCUMENTS, write_input

MODULE = ("-m", "actingweb.migration")
CONSOLE = (str(Path(sys.executable).with_name("actingweb-db")), "migrate")
POSTGRES_FLAGS = ("--pg-host", "--pg-port", "--pg-database", "--pg-user", "--pg-password")
SOURCE_FLAGS = ("--aws-profile", "--region", "--table-prefix", "--segments", "--rcu")
FLAGS = {
    "export": ("--output-dir", *SOURCE_FLAGS, "--resume", "--tables"),
    "import": (
        *("--input-dir", "--format", "--table-prefix", *POSTGRES_FLAGS),
        *("--skip-duplicates", "--max-rejects", "--rejects-dir", "--restart", "--tables"),
    ),
    "validate": (
        *("--input-dir", "--format", "--source", *SOURCE_FLAGS, *POSTGRES_FLAGS),
        *("--report", "--limit", "--show-values", "--rejects-dir"),
        *("--tables", "--accept-rejects", "--repair", "--delete-extra"),
    ),
    "copy": (
        *SOURCE_FLAGS,
        *POSTGRES_FLAGS,
        "--skip-duplicates",
        "--max-rejects",
        "--rejects-dir",
        "--restart",
        "--tables",
    ),
    "replay": ("--rejects-dir", *POSTGRES_FLAGS),
}
EXIT_CODES = ("0", "2", "3", "4", "6", "7", "130", "143")
CANARY = "canary's pass%word"


@pytest.fixture
def bare(tmp_path: Path) -> Tool:
    """Return the tool with files to import in `files`, without any settings."""
    write_input(tmp_path / "files", DOCUMENTS)
    return Tool(tmp_path, {"PATH": "/usr/bin:/bin", "COLUMNS": "200"})


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """Listen where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


@pytest.mark.parametrize("command", FLAGS)
@pytest.mark.parametrize("program", [(str(SCRIPT),), CONSOLE, MODULE], ids=["script", "console", "module"])
def test_help_has_the_options_and_the_exit_codes(bare: Tool, command: str, program: tuple[str, ...]) -> None:
    tool = Tool(bare.directory, bare.environment, program, fresh=command == "export")
    result = tool.run(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    for flag in (*FLAGS[command], "--json", "--log-level"):
        assert flag in result.stdout
    _, _, codes = result.stdout.partition("Exit codes:")
    assert [code for code in EXIT_CODES if f" {code} " in codes] == list(EXIT_CODES)


def port_of(tool: Tool, *flags: str) -> str:
    """Return at which port of this machine, on which nothing listens, the tool looks for PostgreSQL."""
    result = tool.run("import", "--input-dir", "files", *flags)
    assert result.returncode == 7
    assert "Traceback" not in result.stderr
    return result.stderr.partition("port ")[2].partition(" ")[0]


def test_options_win_over_the_environment_and_that_over_the_file(bare: Tool) -> None:
    (bare.directory / ".env").write_text("PG_DB_HOST=127.0.0.1\nPG_DB_PORT=1\nPG_DB_PASSWORD=x\n")
    assert port_of(bare) == "1"
    assert port_of(bare.having(PG_DB_PORT="2")) == "2"
    assert port_of(bare.having(PG_DB_PORT="2"), "--pg-port", "3") == "3"


def test_the_file_is_found_from_a_directory_below(bare: Tool) -> None:
    (bare.directory / ".env").write_text("PG_DB_HOST=127.0.0.1\nPG_DB_PORT=1\nPG_DB_PASSWORD=x\n")
    below = bare.directory / "below"
    below.mkdir()
    result = Tool(below, bare.environment).run("import", "--input-dir", "../files")
    assert "port 1 " in result.stderr


def test_options_win_over_a_url(bare: Tool) -> None:
    tool = bare.having(PG_DB_URL="postgresql://someone:x@127.0.0.1:1/other")
    assert port_of(tool) == "1"
    assert port_of(tool, "--pg-port", "3") == "3"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PG_DB_PORT", "many"), ("PG_DB_URL", f"postgresql://a:{CANARY}@["), ("AWS_DB_HOST", f"ftp://a:{CANARY}@b")],
)
def test_a_bad_setting_is_named_and_not_shown(bare: Tool, variable: str, value: str) -> None:
    result = bare.having(**{variable: value}).run("import", "--input-dir", "files")
    assert result.returncode == 2
    assert variable in result.stderr
    assert CANARY not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["explode"],
        ["import"],
        ["export", "--output-dir", "x", "--unknown"],
        ["import", "--input-dir", "files", "--pg-port", "99999"],
        ["import", "--input-dir", "absent"],
        ["validate"],
        ["validate", "--input-dir", "files", "--delete-extra"],
        ["validate", "--input-dir", "files", "--source", "dynamodb"],
        ["copy", "--rcu", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage(bare: Tool, arguments: list[str]) -> None:
    result = bare.having(PG_DB_HOST="127.0.0.1", PG_DB_PORT="1", PG_DB_PASSWORD="x").run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("form", [["--pg-password", CANARY], [f"--pg-password={CANARY}"]], ids=["two", "one"])
def test_a_password_of_the_command_line_leaves_the_list_of_processes(
    bare: Tool, silent_server: socket.socket, form: list[str]
) -> None:
    port = str(silent_server.getsockname()[1])
    with bare.start("import", "--input-dir", "files", "--pg-host", "127.0.0.1", "--pg-port", port, *form) as process:
        try:
            connection, _ = silent_server.accept()
            listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            connection.close()
        finally:
            process.kill()
    assert b"import\0--input-dir\0files\0" in listed
    assert CANARY.encode() not in listed


def test_options_of_the_interpreter_are_kept_when_the_password_is_hidden(bare: Tool) -> None:
    tool = Tool(bare.directory, bare.environment, ("-I", "-X", "importtime", str(SCRIPT)), fresh=True)
    result = tool.run(
        "import", "--input-dir", "files", "--pg-host", "127.0.0.1", "--pg-port", "1", "--pg-password", "x"
    )
    assert "import time:" in result.stderr
    assert result.returncode == 7


MISSING = "import sys; sys.modules[{module!r}] = None; from actingweb.cli.launch import script; script()"


@pytest.mark.parametrize(
    ("command", "code", "failure"),
    [
        (["import", "--input-dir", "files"], 7, "127.0.0.1"),
        (["replay", "--rejects-dir", "files"], 2, "files has no reject file"),
    ],
    ids=["import", "replay"],
)
def test_a_command_that_reads_files_starts_without_botocore(
    bare: Tool, command: list[str], code: int, failure: str
) -> None:
    """It takes a quarter of the time that such a command takes to start."""
    tool = Tool(bare.directory, bare.environment, ("-c", MISSING.format(module="botocore")), fresh=True)
    result = tool.run(*command, "--pg-host", "127.0.0.1", "--pg-port", "1", "--pg-password", "x")
    assert (result.returncode, failure in result.stderr) == (code, True), result.stderr


def run_without(module: str, directory: Path) -> str:
    """Run the tool as if a module were not installed; return what stderr says."""
    program = ("-c", MISSING.format(module=module))
    result = Tool(directory, {"PATH": "/usr/bin:/bin"}, program, fresh=True).run("export", "--output-dir", "x")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("module", ["typer", "rich", "pydantic"])
def test_without_the_extra_the_tool_says_what_to_install(tmp_path: Path, module: str) -> None:
    errors = run_without(module, tmp_path)
    assert module in errors
    assert 'pip install "actingweb-db[postgresql]"' in errors


@pytest.mark.parametrize("module", ["botocore", "html.parser", "actingweb.db.dynamodb.region"])
def test_another_missing_module_is_named(tmp_path: Path, module: str) -> None:
    errors = run_without(module, tmp_path)
    assert "is missing" in errors
    assert module in errors
    assert "postgresql" not in errors


def test_the_packages_of_the_extra_are_known() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", text)[0] for text in project["optional-dependencies"]["postgresql"]}
    assert names == launch._EXTRA_MODULES


def test_the_variable_that_carries_the_password_is_no_setting(bare: Tool) -> None:
    """It is what `--pg-password` becomes; nobody has to know it."""
    assert PASSWORD_VARIABLE not in bare.run("import", "--help").stdout
