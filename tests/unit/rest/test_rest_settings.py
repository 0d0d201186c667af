"""The settings of the HTTP door: all problems at once, before anything is opened."""

import subprocess

import pytest

from tests.rest_door import built_rest


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"HARMONIA_LISTEN": "0.0.0.0:0"}, "which others can reach"),
        ({"HARMONIA_LISTEN": "127.0.0.1:0", "HARMONIA_COLOUR": "blue"}, "HARMONIA_COLOUR is no setting of rest"),
        ({"HARMONIA_DRAIN_GRACE_S": "soon"}, "must be a number of seconds"),
        ({"HARMONIA_TRUSTED_PROXIES": "nearby"}, "must be a CIDR range"),
    ],
)
def test_settings_that_are_wrong_stop_the_start(settings, told):
    required = {"HARMONIA_GATEWAY_PUBLIC_ADDRESS": "127.0.0.1:1", "HARMONIA_TLS_CA": "ca.pem"}
    checked = subprocess.run(
        [built_rest(), "--check"], env=required | settings, capture_output=True, text=True, timeout=30, check=False
    )

    assert checked.returncode == 2
    assert told in checked.stderr
