"""`make chaos ALL=1`, or `make chaos SONGS=100 KILLS=30 SEED=1`."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.points import Case, a_tenth, all_cases, struck_mesh
from tests.chaos.storm import Storm


def main() -> int:
    parser = argparse.ArgumentParser("chaos", description="Kills processes with SIGKILL and counts what is lost.")
    parser.add_argument("--all", action="store_true", help="every point × stage × victim")
    parser.add_argument("--only", default="", help="with --all: points by name, with commas")
    parser.add_argument("--songs", type=int, default=0)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="keep the state here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary)
        if arguments.songs:
            return asyncio.run(storm(home, arguments.songs, arguments.kills, arguments.seed))
        cases = all_cases() if arguments.all else a_tenth(arguments.seed)
        wanted = [case for case in cases if not arguments.only or case.point in arguments.only.split(",")]
        return asyncio.run(points(home, wanted))


async def points(home: Path, cases: list[Case]) -> int:
    held = 0
    async with struck_mesh(home) as shooting:
        for case in cases:
            found, took = await shooting.shoot(case)
            held += not found
            print(f"{case} {took:5.1f} s  {'held' if not found else '; '.join(found)}", flush=True)
    print(f"cases={len(cases)} held={held}")
    return int(held != len(cases))


async def storm(home: Path, songs: int, kills: int, seed: int) -> int:
    report = await Storm(home, songs=songs, kills=kills, seed=seed).run()
    print(f"seed={seed} states={dict(report.states)} drains={report.drains}")
    for violation in report.violations:
        print(violation)
    print(report)
    return int(not report.held)


if __name__ == "__main__":
    sys.exit(main())
