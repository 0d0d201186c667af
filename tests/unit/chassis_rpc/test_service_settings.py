"""Settings are read once and every problem is told at once."""

import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import ValidationError

from harmonia_chassis.settings import ServiceSettings, problems, settings_from, variables

GOOD = {
    "HARMONIA_NATS_URL": "tls://127.0.0.1:4222",
    "HARMONIA_TLS_CERT": "/pki/composer.pem",
    "HARMONIA_TLS_KEY": "/pki/composer.key.pem",
    "HARMONIA_TLS_CA": "/pki/ca.pem",
    "HARMONIA_GATEWAY_ADDRESS": "gateway:7000",
    "HARMONIA_LYRICIST_ADDRESS": "lyricist:7000",
    "HARMONIA_COMPOSER_ADDRESS": "127.0.0.1:7000",
    "HARMONIA_MASTERING_ADDRESS": "[::1]:7000",
    "HARMONIA_ARTIFACTS_ADDRESS": "artifacts:7000",
}


def test_spans_of_time_are_seconds_in_the_environment() -> None:
    settings = settings_from(ServiceSettings, GOOD | {"HARMONIA_LEASE_S": "2.5"})

    assert settings.lease == timedelta(seconds=2.5)
    assert settings.drain_grace == timedelta(seconds=10)


def test_a_good_environment_has_no_problems() -> None:
    assert problems(ServiceSettings, GOOD | {"PATH": "/bin", "HOME": "/"}) == []


def test_every_bad_missing_and_unknown_variable_is_named_at_once() -> None:
    environment = GOOD | {
        "HARMONIA_LISTEN": "nowhere",
        "HARMONIA_LEASE_S": "-1",
        "HARMONIA_LOG_LEVEL": "loud",
        "HARMONIA_LEASE": "10",
        "HARMONIA_SERVICE_HOST": "injected",
    }
    del environment["HARMONIA_NATS_URL"]

    named = {line.partition(":")[0] for line in problems(ServiceSettings, environment)}

    assert named == {
        "HARMONIA_LISTEN",
        "HARMONIA_LEASE_S",
        "HARMONIA_LOG_LEVEL",
        "HARMONIA_LEASE",
        "HARMONIA_SERVICE_HOST",
        "HARMONIA_NATS_URL",
    }


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "1e300", "", "0"])
def test_a_lease_that_is_no_span_of_time_is_refused(text: str) -> None:
    found = problems(ServiceSettings, GOOD | {"HARMONIA_LEASE_S": text})

    assert [line.partition(":")[0] for line in found] == ["HARMONIA_LEASE_S"]


def test_settings_cannot_be_changed() -> None:
    settings = settings_from(ServiceSettings, GOOD)

    with pytest.raises(ValidationError, match="frozen"):
        settings.listen = "127.0.0.1:1"


def test_every_field_has_a_variable_and_a_description() -> None:
    assert len(set(variables(ServiceSettings).values())) == len(ServiceSettings.model_fields)
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from harmonia_chassis.node import run_service\n"
        "from harmonia_chassis.settings import ServiceSettings\n"
        "async def start(node): pass\n"
        "run_service('composer', ServiceSettings, start)\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_check_accepts_good_settings_and_starts_nothing() -> None:
    done = run("--check", **GOOD)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_service_with_wrong_settings_exits_2_and_reports_on_stderr() -> None:
    done = run(**(GOOD | {"HARMONIA_LISTEN": "nowhere", "HARMONIA_TYPO": "1"}))

    assert done.returncode == 2
    assert "HARMONIA_LISTEN" in done.stderr
    assert "HARMONIA_TYPO" in done.stderr
    assert "Traceback" not in done.stderr
