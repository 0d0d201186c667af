"""What the services of a mesh are told, and what they are not."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from harmonia_chassis.settings import ServiceSettings, problems, variables
from harmonia_local.certificates import SERVICES
from harmonia_local.environments import Doors, Plan, service_environment, without_settings
from harmonia_local.home import Home

DOORS = {name: Doors(grpc=4000 + at, health=4100 + at, metrics=4200 + at) for at, name in enumerate(SERVICES)}
PLAN = Plan(Home(Path("/home/h")), "tls://127.0.0.1:4222", "harmonia.local", 2.5, 7443, DOORS)

RUNNABLE = [service for service in SERVICES if find_spec(f"harmonia_{service}.__main__")]


def environment(service: str, added: dict[str, str] | None = None) -> dict[str, str]:
    inherited = {"PATH": "/bin", "HARMONIA_HOME": "/elsewhere", "HARMONIA_LOG_LEVEL": "debug"}
    return service_environment(service, PLAN, inherited=inherited, added=added or {})


@pytest.mark.parametrize("service", SERVICES)
def test_settings_of_the_users_shell_do_not_reach_a_service(service: str) -> None:
    got = environment(service)

    assert got["PATH"] == "/bin"
    assert "HARMONIA_HOME" not in got
    assert "HARMONIA_LOG_LEVEL" not in got


def test_settings_given_to_the_mesh_reach_every_service_and_win() -> None:
    added = {"HARMONIA_LOG_LEVEL": "warning", "HARMONIA_LEASE_S": "1"}
    for service in SERVICES:
        got = environment(service, added)

        assert (got["HARMONIA_LOG_LEVEL"], got["HARMONIA_LEASE_S"]) == ("warning", "1")


def test_a_setting_that_only_the_gateway_knows_goes_to_the_gateway_alone() -> None:
    added = {"HARMONIA_TENANT_UNFINISHED": "5000"}
    holders = {service for service in SERVICES if "HARMONIA_TENANT_UNFINISHED" in environment(service, added)}

    assert environment("gateway", added)["HARMONIA_TENANT_UNFINISHED"] == "5000"
    assert holders == {"gateway"}


def test_artifacts_keeps_its_objects_in_the_home_or_on_s3() -> None:
    on_s3 = environment("artifacts", {"HARMONIA_S3_ENDPOINT": "http://127.0.0.1:9000"})

    assert environment("artifacts")["HARMONIA_STATE_DIR"] == "/home/h/artifacts"
    assert "HARMONIA_STATE_DIR" not in on_s3
    assert on_s3["HARMONIA_SCRATCH_DIR"] == "/home/h/cache/scratch"


def test_each_service_has_its_own_certificate_and_knows_all_addresses() -> None:
    got = environment("composer")

    assert got["HARMONIA_TLS_CERT"] == "/home/h/pki/composer.pem"
    assert got["HARMONIA_TLS_KEY"] == "/home/h/pki/composer.key.pem"
    assert got["HARMONIA_LISTEN"] == got["HARMONIA_COMPOSER_ADDRESS"] == f"127.0.0.1:{DOORS['composer'].grpc}"
    assert got["HARMONIA_GATEWAY_ADDRESS"] == "127.0.0.1:4000"
    assert got["HARMONIA_LEASE_S"] == "2.5"


def test_nats_server_gets_no_setting_of_ours() -> None:
    assert without_settings({"HARMONIA_X": "1", "HOME": "/root"}) == {"HOME": "/root"}


def settings_of(service: str) -> type[ServiceSettings]:
    """Its own settings, or the common ones where it has none of its own."""
    name = f"harmonia_{service}.settings"
    found = vars(import_module(name)).values() if find_spec(name) else ()
    own = [each for each in found if isinstance(each, type) and issubclass(each, ServiceSettings)]
    return next((each for each in own if each is not ServiceSettings), ServiceSettings)


@pytest.mark.parametrize("service", RUNNABLE)
def test_each_service_accepts_what_the_mesh_tells_it(service: str) -> None:
    assert problems(settings_of(service), environment(service)) == []


@pytest.mark.parametrize("service", RUNNABLE)
def test_a_setting_given_to_the_mesh_reaches_only_services_that_know_it(service: str) -> None:
    everything = {name: "x" for each in RUNNABLE for name in variables(settings_of(each)).values()}
    known = set(variables(settings_of(service)).values())
    got = {name for name in environment(service, everything) if name.startswith("HARMONIA_")}

    assert got - known == set()
