"""Which nats-server is old enough to be refused."""

from pathlib import Path

import pytest

from harmonia_chassis.errors import FailedPrecondition
from harmonia_local.nats_server import version_from

BINARY = Path("/usr/bin/nats-server")


@pytest.mark.parametrize(
    ("output", "version"),
    [("nats-server: v2.15.1\n", "2.15.1"), ("nats-server: v2.11.0-beta.1", "2.11.0-beta.1"), ("v3.0.0", "3.0.0")],
)
def test_2_11_and_newer_are_taken(output: str, version: str) -> None:
    assert version_from(output, BINARY) == version


@pytest.mark.parametrize("output", ["nats-server: v2.10.29", "nats-server: v2.9.0", "v1.4.1", "", "not found"])
def test_older_ones_are_refused_by_name(output: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"/usr/bin/nats-server says .* needs nats-server 2\.11 or newer"):
        version_from(output, BINARY)
