"""A mesh whose public door takes API keys and the access tokens of an issuer, which is a process of its own."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from harmonia_local.mesh import Mesh, running_mesh
from tests.rest_door import built_rest

SMALL = Path(__file__).parents[1] / "gateway" / "small_service.py"
COMMANDS = {name: (sys.executable, str(SMALL), name) for name in ("lyricist", "composer", "mastering")}
AUDIENCE = "https://music.example"
FAILURES_A_MINUTE = 40


@dataclass
class IssuerProcess:
    url: str

    def token(self, key: str = "ec", *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Good, but for the changes; a claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "tenant": "acme",
            "scope": "openid songs:read songs:write artifacts:read",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        asked = {"key": key, "header": {"typ": "at+jwt", **(header or {})}, "claims": claims}
        return str(self.ask("/mint", asked)["token"])

    def rotate(self) -> None:
        self.ask("/rotate", {})

    def reads(self) -> int:
        return int(httpx.get(httpx.URL(self.url).join("/reads")).json()["reads"])

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.post(httpx.URL(self.url).join(path), json=body).json()
        return answer


@contextmanager
def running_issuer() -> Iterator[IssuerProcess]:
    program = Path(__file__).parents[2] / "issuer.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield IssuerProcess(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerProcess]:
    with running_issuer() as issuer:
        yield issuer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, issuer: IssuerProcess) -> AsyncIterator[Mesh]:
    environment = {
        "HARMONIA_OIDC_ISSUER": issuer.url,
        "HARMONIA_OIDC_AUDIENCE": AUDIENCE,
        "HARMONIA_RATE_STRANGERS": str(FAILURES_A_MINUTE),
    }
    home = tmp_path_factory.mktemp("home")
    async with running_mesh(
        home, commands=COMMANDS, environment=environment, lease_s=2, rest=built_rest(), say=lambda _: None
    ) as mesh:
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(mesh: Mesh) -> AsyncIterator[grpc.aio.Channel]:
    """To the public door, as nobody yet."""
    tls = grpc.ssl_channel_credentials(Path(mesh.info.ca).read_bytes())
    async with grpc.aio.secure_channel(mesh.info.grpc, tls) as channel:
        yield channel


def bearer(token: str, address: str = "") -> tuple[tuple[str, str], ...]:
    """`address`: as a proxy would say it, so that a test has failures of its own."""
    forwarded = (("x-forwarded-for", address),) if address else ()
    return (("authorization", f"Bearer {token}"), *forwarded)
