"""What of the guide cannot run here: at least it is well-formed, and the files it shows are those in `deploy/`."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from actingweb.db.postgresql.migrate import upgrade as migrate
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.schema.catalog import describe
from tests.schema.databases import BYTE_ORDER, database

from .blocks import GUIDE, ROOT, Block, blocks

_NOT_RUN = [block for block in blocks() if block.mark.startswith("not run here") and block.language == "bash"]
_FILES = [block for block in blocks() if block.mark.startswith("file deploy/")]
_SERVICES = [ROOT / "deploy" / name for name in ("actingweb.service", "actingweb-sync.service")]
_PROMISES = ROOT / "docs" / "guides" / "promise.md"


def _systemd_version() -> int:
    if shutil.which("systemd-analyze") is None:
        return 0
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", told)[0])


def test_no_block_escapes() -> None:
    """Each fence of the page is a block that one of the tests looks at."""
    assert len(blocks()) == len(re.findall("^```[a-z]+$", GUIDE.read_text(), re.MULTILINE))
    assert {block.language for block in blocks()} == {"bash", "sql", "python", "text", "ini", "yaml"}


@pytest.mark.parametrize("block", _NOT_RUN, ids=str)
def test_commands_are_well_formed(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


def test_the_crontab_is_well_formed() -> None:
    (block,) = (block for block in blocks() if block.mark == "crontab")
    *times, command = block.text.rstrip("\n").split(" ", 5)
    assert times == ["0", "2", "*", "*", "*"]
    # In a crontab, % ends the command.
    assert not re.search(r"(?<!\\)%", command)
    subprocess.run(["bash", "-n"], input=command.replace(r"\%", "%"), text=True, check=True)


@pytest.mark.parametrize("block", _FILES, ids=str)
def test_the_guide_shows_the_files_of_deploy(block: Block) -> None:
    assert block.text == (ROOT / block.mark.removeprefix("file ")).read_text()


def test_compose_file_fits_the_published_schema() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/docker-compose.yml"]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kubernetes-sync.yaml"])
def test_kubernetes_file_fits_the_published_schemas(name: str) -> None:
    command = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", f"deploy/{name}"]
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.parametrize("service", _SERVICES, ids=lambda service: service.name)
def test_service_file_has_its_parts(service: Path) -> None:
    unit = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None)
    unit.read(service)
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert "PG_DB_PASSWORD" not in str(dict(unit["Service"]))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("service", _SERVICES, ids=lambda service: service.name)
def test_systemd_takes_the_service_file(service: Path, tmp_path: Path) -> None:
    """With a program and a user that exist."""
    unit = tmp_path / service.name
    text = re.sub("ExecStart=.*", "ExecStart=/bin/true", service.read_text())
    unit.write_text(text.replace("User=actingweb", "User=root"))
    result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(_systemd_version() < 250, reason="there is no systemd-analyze that can look at a file")
@pytest.mark.parametrize("service", _SERVICES, ids=lambda service: service.name)
def test_little_is_open_to_the_service(service: Path) -> None:
    """As systemd judges it: 10 is no confinement at all; a service with a network has at least 1."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(service)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_containers_are_confined() -> None:
    """No root, no capability, no way to more, nothing to write to but a directory in memory."""
    services = _loaded("docker-compose.yml")[0]["services"]
    for name in ("app", "schema"):
        service = services[name]
        assert service["read_only"] is True
        assert (service["user"], service["cap_drop"]) == ("10001:10001", ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name in ("kubernetes.yaml", "kubernetes-sync.yaml"):
        (deployment,) = (part for part in _loaded(name) if part["kind"] == "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.get("initContainers", []) + pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_password_stands_where_all_can_read_it() -> None:
    (config,) = (part for part in _loaded("kubernetes.yaml") if part["kind"] == "ConfigMap")
    assert not [name for name in config["data"] if re.search("USER|PASSWORD|URL", name)]
    services = _loaded("docker-compose.yml")[0]["services"]
    assert "ports" not in services["postgres"]
    for service in services.values():
        for name, value in service["environment"].items():
            assert "PASSWORD" not in name or value == "${PG_DB_PASSWORD:?}"


def _loaded(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all((ROOT / "deploy" / name).read_text()))


def test_the_appendix_is_the_schema(postgres_server: PostgresTarget, set_env: SetEnv) -> None:
    (block,) = (block for block in blocks() if block.mark == "the schema")
    with database(postgres_server, BYTE_ORDER) as target:
        assert target is not None
        set_env(**{**target.environment, "PG_DB_PREFIX": "migrated_", "PG_DB_SCHEMA": "x"})
        migrate()
        with target.connect() as connection:
            connection.execute("CREATE SCHEMA appendix")
            connection.execute("SET search_path TO appendix")
            connection.execute(block.text.encode())
            shown = _sorted(describe(connection, "appendix"))
            connection.execute("SET search_path TO migrated_x")
            made = _sorted(describe(connection, "migrated_x"))
        del made["alembic_version"]
        assert shown == made
        set_env()


def _sorted(layout: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return a layout without the order of columns, which upgrades change."""
    return {table: sorted(lines) for table, lines in layout.items()}


def test_the_table_of_promises_names_tests_that_exist() -> None:
    """An abbreviated name, `::test_x`, is in the file named before it."""
    file = ""
    for named, test in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)?(?:::(\w+))?`", _PROMISES.read_text()):
        file = named or file
        if file:
            assert (ROOT / file).is_file(), file
        if test:
            assert f"def {test}(" in (ROOT / file).read_text(), test


def test_every_comment_says_what_to_do_with_a_block() -> None:
    known = (
        r"(not run here: .+|prints|message|postgresql\.conf|pg_hba\.conf|crontab|the schema|with nginx|file \S+"
        r"|as postgres.*|)"
    )
    for block in blocks():
        assert re.fullmatch(known, block.mark), block
        assert block.mark or block.language in ("bash", "sql", "python"), block
