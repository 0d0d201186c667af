"""The meter against every signal of EBU Tech 3341 and 3342 that can be made: -s prints what it reads."""

import pytest

from tests.ebu import RATES_HZ, table


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_every_case_of_the_ebu_is_met(rate_hz: int) -> None:
    cases = list(table(rate_hz))
    print()
    for case in cases:
        print(f"{rate_hz} Hz  {case.number:<7}{case.what:<46}{case.expected:<16}{case.measured:9.3f}")

    assert [case.number for case in cases if not case.met] == []
    assert len(cases) == 25
