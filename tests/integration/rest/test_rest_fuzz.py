"""The served OpenAPI document is true, for whatever schemathesis makes of it: no 500, no answer but as described.

`python -m tests.fuzz_rest --cases 2000` tries more.
"""

from pathlib import Path

import pytest

from tests.fuzz_rest import fuzz


@pytest.mark.timeout(240)
async def test_no_request_makes_the_door_fail_or_answer_otherwise_than_it_says(tmp_path: Path) -> None:
    code, made, told = await fuzz(tmp_path, cases=1, seed=1)

    assert code == 0, told
    assert made >= 1000
