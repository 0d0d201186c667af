import hashlib
import json

import pytest
from pydantic import ValidationError

from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import Unauthenticated
from harmonia_gateway.tokens import KEYS, UserKeys, read_keys

TOKEN = "k" * 43


class Kept(Entities):
    """Entities in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.reads = 0
        self.writes = 0

    async def get(self, kind: str, entity_id: str, *, tenant: str = "mesh") -> tuple[int, bytes] | None:
        self.reads += 1
        found = self.records.get((kind, entity_id))
        return (1, found) if found is not None else None

    async def put(
        self, kind: str, entity_id: str, payload: bytes, *, tenant: str = "mesh", expected: int | None = None
    ) -> int:
        self.writes += 1
        self.records[kind, entity_id] = payload
        return self.writes


def entry(token: str = TOKEN, **changes: object) -> dict[str, object]:
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    known = {"name": "user", "sha256": sha256, "tenant": "local", "owner": "user", "scopes": ["songs:read"]}
    return {**known, **changes}


@pytest.fixture
def bootstrap(tmp_path):
    def write(*entries):
        path = tmp_path / "keys.json"
        path.write_text(json.dumps(entries))
        return read_keys(path)

    return write


async def test_a_key_opens_the_door_to_what_it_was_made_for(bootstrap):
    keys = UserKeys(Kept())
    await keys.make_known(bootstrap(entry(), entry("o" * 43, name="operator", operator=True)))

    user, operator = await keys.authenticate(TOKEN), await keys.authenticate("o" * 43)

    assert (user.kind, user.name, user.tenant, user.owner) == ("user", "user", "local", "user")
    assert (user.scopes, user.operator, operator.operator) == (frozenset({"songs:read"}), False, True)


async def test_an_unknown_token_is_refused_without_repeating_it():
    with pytest.raises(Unauthenticated) as caught:
        await UserKeys(Kept()).authenticate("secret-token")

    assert caught.value.reason == "TOKEN_INVALID"
    assert "secret-token" not in str(caught.value)


async def test_no_token_is_stored(bootstrap):
    kept = Kept()
    await UserKeys(kept).make_known(bootstrap(entry()))

    assert all(TOKEN.encode() not in body and kind == KEYS for (kind, _), body in kept.records.items())


async def test_known_keys_are_not_stored_again(bootstrap):
    kept = Kept()
    for _ in range(2):
        await UserKeys(kept).make_known(bootstrap(entry()))

    assert kept.writes == 1


async def test_a_key_is_asked_for_once_in_five_seconds_and_gone_after_them(bootstrap):
    kept, now = Kept(), [100.0]
    keys = UserKeys(kept, clock=lambda: now[0])
    await keys.make_known(bootstrap(entry()))
    kept.reads = 0
    for _ in range(10):
        await keys.authenticate(TOKEN)
    assert kept.reads == 1
    kept.records.clear()
    now[0] = 105.0

    with pytest.raises(Unauthenticated):
        await keys.authenticate(TOKEN)


@pytest.mark.parametrize(
    "wrong",
    [{"sha256": "x"}, {"tenant": "a.b"}, {"tenant": ">"}, {"tenant": ""}, {"owner": ""}, {"color": "red"}],
)
def test_a_malformed_key_stops_the_start(wrong, bootstrap):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        bootstrap(entry(**wrong))
