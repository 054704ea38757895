"""What an installer gets: the wheel, the source distribution, and what Python imports after it was installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from copy import copy
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import psycopg
import pytest
from packaging.requirements import Requirement

import actingweb.db
from tests.supply.packages import ROOT
from tests.supply.wheel import build_sdist, build_wheel

_LIBRARY = "actingweb_db/lib/"
_SUITE = ("testbed/", "tests/contract/", "tests/memory_backend/", "tests/plugins/")
_FRAMEWORK = {
    "actingweb/__init__.py": "",
    "actingweb/interface.py": "",
    "actingweb/db/__init__.py": "",
    "actingweb/db/postgresql/__init__.py": "",
}
"""Stands for the framework's distribution; `make test-framework` does the same with the real one."""
_ORIGINS = """
import json
import actingweb
import actingweb.db.settings
try:
    import actingweb.interface
except ModuleNotFoundError:
    pass
print(json.dumps([actingweb.__file__, actingweb.db.__file__, actingweb.db.settings.__file__]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution."""
    return build_sdist(tmp_path_factory.mktemp("sdist"))


class Installation:
    """A virtual environment with the wheel, outside the clone."""

    def __init__(self, directory: Path, wheel: Path, python: str = sys.executable) -> None:
        subprocess.run([python, "-m", "venv", "--without-pip", str(directory)], check=True)
        self._find(directory)
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, cwd="/")
        # The packages that ours needs. No `.pth` file beside them is read.
        dependencies = Path(psycopg.__file__).parents[1]
        (self.site_packages / "zz_dependencies.pth").write_text(f"{dependencies}\n")

    def copied(self, directory: Path) -> Installation:
        """Return a copy in a new directory, which takes a tenth of the time of an installation."""
        shutil.copytree(self.python.parents[1], directory, symlinks=True)
        made = copy(self)
        made._find(directory)
        for script in directory.glob("bin/actingweb-db"):
            script.write_text(script.read_text().replace(str(self.python), str(made.python)))
        return made

    def _find(self, directory: Path) -> None:
        self.python = directory / "bin" / "python"
        (self.site_packages,) = directory.glob("lib/python*/site-packages")
        self.library = self.site_packages / _LIBRARY / "actingweb"

    def add_framework(self) -> Path:
        """Add a package `actingweb` with a storage layer of its own and return its directory."""
        for name, text in _FRAMEWORK.items():
            path = self.site_packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.site_packages / "actingweb"

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run its Python outside the clone."""
        command = [self.python, *arguments]
        variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
        return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, timeout=120, check=False)

    def origins(self, *arguments: str, before: str = "", **environment: str) -> list[str]:
        """Return the files of `actingweb`, `actingweb.db` and a module of it."""
        answer = self.run(*arguments, "-c", before + _ORIGINS, **environment)
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr == ""
        found: list[str] = json.loads(answer.stdout)
        return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Install the wheel."""
    return Installation(tmp_path_factory.mktemp("installed") / "environment", wheel)


@pytest.fixture
def installation(installed: Installation, tmp_path: Path) -> Installation:
    """Return an installation of the test's own."""
    return installed.copied(tmp_path / "environment")


def _files_of(package: Path) -> list[str]:
    return [str(package / name) for name in ("__init__.py", "db/__init__.py", "db/settings.py")]


def _tracked(*paths: str) -> set[str]:
    answer = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {name for name in answer.stdout.splitlines() if (ROOT / name).exists()}


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


needs_git = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="compares with the files that git tracks"
)


@needs_git
def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    library = {_LIBRARY + name for name in _tracked("actingweb")}
    assert names == library | _tracked("actingweb_db") | {"actingweb_db.pth"}


@needs_git
def test_the_source_distribution_builds_the_wheel_and_has_what_operators_and_backends_need(
    sdist: Path,
) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = _tracked("actingweb", "actingweb_db", "deploy", "docs/guides")
    needed |= {"LICENSE", "README.md", "actingweb_db.pth", "pyproject.toml", "scripts/build_backend.py"}
    suite = _tracked("tests/*.py", "tests/contract", "tests/memory_backend", "tests/plugins", "testbed")
    suite = {name for name in suite if name.count("/") == 1 or name.startswith(_SUITE)}
    assert needed | suite <= names
    assert {name for name in names if name.startswith(("tests", "testbed", "benchmarks"))} == suite


def test_the_source_distribution_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    rebuilt = build_wheel(tmp_path, tree)
    with ZipFile(wheel) as first, ZipFile(rebuilt) as second:
        assert sorted(second.namelist()) == sorted(first.namelist())
        assert all(first.read(name) == second.read(name) for name in first.namelist())


def test_a_package_index_can_show_the_metadata(sdist: Path, wheel: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.count("PASSED") == 2


def test_metadata(wheel: Path) -> None:
    facts = _metadata(wheel)
    assert facts["Name"] == "actingweb-db"
    assert facts["Version"] == actingweb.db.__version__
    assert facts["Requires-Python"] == ">=3.11,<4"
    assert facts["License-Expression"] == "BSD-3-Clause"
    assert facts.get_all("Project-URL")
    versions = {text.rpartition(" :: ")[2] for text in facts.get_all("Classifier", [])}
    assert {"3.11", "3.12", "3.13"} <= versions


def test_every_extra_that_is_documented_exists(wheel: Path) -> None:
    assert {"all", "conformance", "embedded", "metrics", "otel", "postgresql", "prometheus"} <= set(
        _metadata(wheel).get_all("Provides-Extra", [])
    )


def test_what_poetry_installs_for_tests_is_a_part_of_the_extra_dev() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extra = set(project["project"]["optional-dependencies"]["dev"])
    assert set(project["dependency-groups"]["test"]) <= extra


def test_the_lock_file_of_poetry_meets_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "poetry.lock").read_text())
    versions = {package["name"]: package["version"] for package in lock["package"]}
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    for requirement in (Requirement(text) for group in groups for text in group):
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        assert requirement.specifier.contains(versions[name]), requirement


def test_beside_the_framework_the_storage_layer_is_ours_and_the_rest_its_own(installation: Installation) -> None:
    framework = installation.add_framework()
    assert installation.origins() == [str(framework / "__init__.py"), *_files_of(installation.library)[1:]]


def test_without_the_framework_the_whole_package_is_ours(installation: Installation) -> None:
    assert installation.origins() == _files_of(installation.library)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_it_is_the_same_on_other_releases_of_python(version: str, wheel: Path, tmp_path: Path) -> None:
    python = _python(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    installation = Installation(tmp_path / "environment", wheel, python)
    assert installation.origins() == _files_of(installation.library)
    framework = installation.add_framework()
    assert installation.origins() == [str(framework / "__init__.py"), *_files_of(installation.library)[1:]]


def _python(version: str) -> str | None:
    """Return a Python of this release, on the path or of pyenv."""
    on_path = shutil.which(f"python{version}")
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for python in [*([on_path] if on_path else []), *map(str, of_pyenv)]:
        answer = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        if answer.stdout.startswith(f"Python {version}."):
            return python
    return None


def test_the_framework_may_be_found_by_a_finder_of_its_own(installation: Installation, tmp_path: Path) -> None:
    # As editable installs have it, whose finders stand behind ours.
    framework = installation.add_framework()
    elsewhere = framework.rename(tmp_path / "actingweb")
    (installation.site_packages / "zzz_editable.pth").write_text("import zzz_editable\n")
    (installation.site_packages / "zzz_editable.py").write_text(
        "import sys\nfrom importlib.machinery import PathFinder\n"
        "class Finder:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
        f"        return PathFinder.find_spec(name, [{str(tmp_path)!r}]) if name == 'actingweb' else None\n"
        "sys.meta_path.append(Finder)\n"
    )
    assert installation.origins() == [str(elsewhere / "__init__.py"), *_files_of(installation.library)[1:]]


def test_a_clone_in_front_of_the_path_keeps_its_own_modules(installation: Installation, tmp_path: Path) -> None:
    installation.add_framework()
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "actingweb", clone / "actingweb", ignore=shutil.ignore_patterns("__pycache__"))
    assert installation.origins(PYTHONPATH=str(clone)) == _files_of(clone / "actingweb")


def _without_site(installation: Installation) -> list[str]:
    path = f"import sys; sys.path.append({str(installation.site_packages)!r})\n"
    return installation.origins("-S", before=path + "import actingweb_db\n")


def _as_lambda_layer(installation: Installation) -> list[str]:
    # A layer's directory is on PYTHONPATH, where `.pth` files are not read.
    (installation.site_packages / "actingweb_db.pth").unlink()
    return installation.origins(before="import actingweb_db\n", PYTHONPATH=str(installation.site_packages))


@pytest.mark.parametrize("start", [_without_site, _as_lambda_layer])
def test_where_no_pth_file_is_read_the_application_imports_it_itself(
    start: Callable[[Installation], list[str]], installation: Installation
) -> None:
    framework = installation.add_framework()
    assert start(installation) == [str(framework / "__init__.py"), *_files_of(installation.library)[1:]]


def test_a_zip_file_serves_it_too(installation: Installation, tmp_path: Path, wheel: Path) -> None:
    archive = tmp_path / "application.pyz"
    shutil.copy(wheel, archive)
    subprocess.run(
        [str(installation.python), "-m", "zipfile", "-l", str(archive)], check=True, stdout=subprocess.DEVNULL
    )
    origins = installation.origins("-S", before="import actingweb_db\n", PYTHONPATH=str(archive))
    assert origins == _files_of(archive / _LIBRARY / "actingweb")


def test_an_import_that_comes_too_late_is_refused(installation: Installation) -> None:
    framework = installation.add_framework()
    (installation.site_packages / "actingweb_db.pth").unlink()
    answer = installation.run("-c", "import actingweb.db, actingweb_db")
    assert answer.returncode == 1
    expected = f"{framework}/db/__init__.py has been imported already: import actingweb_db before actingweb"
    assert answer.stderr.splitlines()[-1] == f"ImportError: {expected}"


def test_the_command_runs_where_nothing_was_imported_before(installation: Installation) -> None:
    (installation.site_packages / "actingweb_db.pth").unlink()
    installation.add_framework()
    for command in (installation.python.with_name("actingweb-db"), "-mactingweb_db"):
        answer = installation.run(command, "--help")
        assert answer.returncode == 0, answer.stderr
        assert "migrate" in answer.stdout


def test_start_up_imports_nothing_more(installation: Installation) -> None:
    program = "import sys; print(*sorted(sys.modules), sep='\\n')"
    with_hook = installation.run("-c", program).stdout.split()
    (installation.site_packages / "actingweb_db.pth").unlink()
    without = installation.run("-c", program).stdout.split()
    assert set(with_hook) - set(without) == {"actingweb_db"}


def test_removing_the_wheel_brings_the_frameworks_own_layer_back(installation: Installation) -> None:
    framework = installation.add_framework()
    pip = [sys.executable, "-m", "pip", "--python", str(installation.python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "uninstall", "--yes", "actingweb-db"], check=True, cwd="/")
    answer = installation.run("-c", "import actingweb.db; print(actingweb.db.__file__)")
    assert answer.stdout.strip() == str(framework / "db" / "__init__.py")


def test_an_editable_install_stands_beside_the_framework(tmp_path: Path) -> None:
    editable = build_wheel(tmp_path, editable=True)
    installation = Installation(tmp_path / "environment", editable)
    assert installation.origins() == _files_of(ROOT / "actingweb")
    framework = installation.add_framework()
    assert installation.origins() == [str(framework / "__init__.py"), *_files_of(ROOT / "actingweb")[1:]]
