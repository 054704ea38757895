"""The files of `deploy/`: well-formed, strict, and true to the library. `make test-deploy` has the slow checks."""

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

from actingweb.db.settings import get_settings
from tests.conftest import SetEnv
from tests.supply.packages import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = ["kubernetes.yaml", "kubernetes-schema.yaml", "kubernetes-sync.yaml"]
SERVICES = [DEPLOY / name for name in ("actingweb.service", "actingweb-sync.service")]
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
PASSWORD_FILE = "/run/secrets/actingweb/password"

Document = dict[str, Any]


def documents(name: str) -> list[Document]:
    """Return the documents of a YAML file."""
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text()))


def pods(name: str) -> dict[str, Document]:
    """Return the pods of Deployments and Jobs by name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in documents(name)
        if "template" in document.get("spec", {})
    }


def application() -> Document:
    """Return the pod of the application."""
    return pods("kubernetes.yaml")["actingweb"]


def compose() -> Document:
    """Return the services of the Compose file."""
    services: Document = documents("docker-compose.yml")[0]["services"]
    return services


def _systemd_version() -> int:
    if shutil.which("systemd-analyze") is None:
        return 0
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", told)[0])


class TestServices:
    @pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
    def test_it_has_its_parts(self, service: Path) -> None:
        unit = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None)
        unit.read(service)
        assert unit.sections() == ["Unit", "Service", "Install"]
        assert "PG_DB_PASSWORD" not in str(dict(unit["Service"]))

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
    @pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
    def test_systemd_takes_it(self, service: Path, tmp_path: Path) -> None:
        """With a program and a user that exist."""
        unit = tmp_path / service.name
        text = re.sub("ExecStart=.*", "ExecStart=/bin/true", service.read_text())
        unit.write_text(text.replace("User=actingweb", "User=root"))
        result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.skipif(_systemd_version() < 250, reason="there is no systemd-analyze that can look at a file")
    @pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
    def test_little_is_open_to_it(self, service: Path) -> None:
        """As systemd judges it: 10 is no confinement at all; a service with a network has at least 1."""
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(service)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


class TestCompose:
    def test_it_fits_the_published_schema(self) -> None:
        command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/docker-compose.yml"]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)

    @pytest.mark.parametrize("name", ["app", "schema"])
    def test_the_application_is_confined(self, name: str) -> None:
        """No root, no capability, no way to more, nothing to write to but a directory in memory."""
        service = compose()[name]
        assert service["read_only"] is True
        assert (service["user"], service["cap_drop"]) == ("10001:10001", ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_services_come_back_and_say_how_they_are(self) -> None:
        services = compose()
        assert {name: service["restart"] for name, service in services.items()} == {
            "app": "unless-stopped",
            "postgres": "unless-stopped",
            "schema": "on-failure:5",
        }
        assert "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text()
        assert "healthcheck" in services["postgres"]
        conditions = {name: needed["condition"] for name, needed in services["app"]["depends_on"].items()}
        assert conditions == {"postgres": "service_healthy", "schema": "service_completed_successfully"}

    def test_the_password_is_in_a_file(self) -> None:
        for service in compose().values():
            assert service["secrets"] == ["pg_password"]
            secrets = {name: value for name, value in service["environment"].items() if "PASSWORD" in name}
            assert set(secrets) <= {"PG_DB_PASSWORD_COMMAND", "POSTGRES_PASSWORD_FILE"}
            assert all("/run/secrets/pg_password" in value for value in secrets.values())

    def test_the_server_can_be_reached_by_the_application_only(self) -> None:
        services = compose()
        assert "ports" not in services["postgres"]
        assert services["postgres"]["networks"] == ["database"]
        assert documents("docker-compose.yml")[0]["networks"]["database"] == {"internal": True}

    def test_a_stop_waits_for_the_longest_call(self, set_env: SetEnv) -> None:
        set_env(DATABASE_BACKEND="postgresql")
        assert int(compose()["app"]["stop_grace_period"].removesuffix("s")) >= longest_call()


def longest_call() -> float:
    """Return the seconds that a call on PostgreSQL takes at most until it gives up, with one host."""
    settings = get_settings().postgresql
    return settings.pool_timeout + settings.connect_timeout + settings.timeout


class TestKubernetes:
    @pytest.mark.parametrize("name", KUBERNETES)
    def test_it_fits_the_published_schemas(self, name: str) -> None:
        command = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", f"deploy/{name}"]
        subprocess.run(command, cwd=ROOT, check=True)

    @pytest.mark.parametrize("name", KUBERNETES)
    def test_containers_are_confined(self, name: str) -> None:
        for pod in pods(name).values():
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                assert container["securityContext"] == CONFINED
                assert container["resources"].keys() == {"requests", "limits"}

    @pytest.mark.parametrize("name", KUBERNETES)
    def test_no_document_holds_a_password(self, name: str) -> None:
        for document in documents(name):
            assert document["kind"] != "Secret"
            if document["kind"] == "ConfigMap":
                assert not [key for key in document["data"] if re.search("USER|PASSWORD|URL", key)]

    @pytest.mark.parametrize("name", KUBERNETES)
    def test_passwords_are_in_files(self, name: str) -> None:
        for pod in pods(name).values():
            for container in pod["containers"]:
                environment = {variable["name"]: variable["value"] for variable in container["env"]}
                assert environment["PG_DB_PASSWORD_COMMAND"] == f"cat {PASSWORD_FILE}"
                assert "PG_DB_PASSWORD" not in environment
                (mount,) = container["volumeMounts"]
                assert mount["mountPath"] == str(Path(PASSWORD_FILE).parent)

    @pytest.mark.parametrize("name", KUBERNETES)
    def test_each_pod_has_the_password_of_its_own_role_only(self, name: str) -> None:
        for owner, pod in pods(name).items():
            role = "actingweb" if owner == "actingweb" else "actingweb_migration"
            users = [one["value"] for box in pod["containers"] for one in box["env"] if one["name"] == "PG_DB_USER"]
            assert set(users) == {role}
            (volume,) = pod["volumes"]
            assert volume["secret"]["secretName"] == f"{role.replace('_', '-')}-password"

    @pytest.mark.parametrize("name", ["kubernetes.yaml", "kubernetes-sync.yaml"])
    def test_an_update_takes_no_pod_away_before_another_is_ready(self, name: str) -> None:
        found = documents(name)
        (deployment,) = (document["spec"] for document in found if document["kind"] == "Deployment")
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        (budget,) = (document["spec"] for document in found if document["kind"] == "PodDisruptionBudget")
        assert budget["maxUnavailable"] < deployment["replicas"]
        labels = deployment["template"]["metadata"]["labels"]
        assert budget["selector"]["matchLabels"] == deployment["selector"]["matchLabels"] == labels
        for container in deployment["template"]["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys()

    def test_the_application_is_not_restarted_for_its_database(self) -> None:
        (container,) = application()["containers"]
        paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
        assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}

    def test_a_stop_waits_for_the_longest_call(self, set_env: SetEnv) -> None:
        set_env(DATABASE_BACKEND="postgresql")
        pod = application()
        sleep, pause = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert sleep == "sleep"
        assert pod["terminationGracePeriodSeconds"] >= int(pause) + longest_call()

    def test_the_policies_name_the_pods(self) -> None:
        labels = _labels()
        policies = _specs("NetworkPolicy")
        ((chosen,),) = (_expressions(policy) for policy in policies if _expressions(policy))
        assert chosen == {"key": "app", "operator": "In", "values": sorted(label["app"] for label in labels)}
        assert all(policy["podSelector"]["matchLabels"] in labels for policy in policies if not _expressions(policy))

    def test_the_service_names_pods_and_a_port(self) -> None:
        (service,) = _specs("Service")
        assert service["selector"] in _labels()
        ports = [port["name"] for port in application()["containers"][0]["ports"]]
        assert [port["targetPort"] for port in service["ports"]] == ports

    def test_everything_is_in_one_namespace(self) -> None:
        found = [document for name in KUBERNETES for document in documents(name)]
        names = {document["metadata"].get("namespace") for document in found if document["kind"] != "Namespace"}
        assert names == {"actingweb"}


def _expressions(policy: Document) -> list[Document]:
    found: list[Document] = policy["podSelector"].get("matchExpressions", [])
    return found


def _specs(kind: str) -> list[Document]:
    found = (document for name in KUBERNETES for document in documents(name))
    return [document["spec"] for document in found if document["kind"] == kind]


def _labels() -> list[dict[str, str]]:
    return [spec["template"]["metadata"]["labels"] for kind in ("Deployment", "Job") for spec in _specs(kind)]
