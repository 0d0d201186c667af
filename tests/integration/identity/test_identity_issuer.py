"""The keys of an issuer: read when they must be, kept while it is away."""

import httpx
import pytest

from harmonia_chassis.errors import Unauthenticated, Unavailable
from harmonia_gateway.jwks import IssuerKeys
from tests.integration.identity.conftest import running_issuer


async def test_a_key_that_is_added_is_found_ten_seconds_after_the_last_look():
    now = [0.0]
    with running_issuer() as issuer:
        async with httpx.AsyncClient() as http:
            keys = IssuerKeys(issuer.url, http, clock=lambda: now[0])
            await keys.key("ec")
            issuer.rotate()
            with pytest.raises(Unauthenticated, match="no such key"):
                await keys.key("next")
            now[0] = 10.0

            assert (await keys.key("next")).key_type == "OKP"
            assert issuer.reads() == 2


async def test_what_was_read_serves_for_a_day_while_the_issuer_is_away():
    now = [0.0]
    async with httpx.AsyncClient() as http:
        with running_issuer() as issuer:
            keys = IssuerKeys(issuer.url, http, clock=lambda: now[0])
            await keys.key("ec")
        now[0] = 86_000.0
        await keys.key("ec")
        now[0] = 87_000.0

        with pytest.raises(Unavailable, match="cannot be asked"):
            await keys.key("ec")


async def test_a_document_about_another_issuer_is_not_believed():
    with running_issuer() as issuer:
        async with httpx.AsyncClient() as http:
            other = issuer.url.replace("127.0.0.1", "localhost")

            with pytest.raises(Unavailable, match="cannot be asked"):
                await IssuerKeys(other, http).key("ec")
