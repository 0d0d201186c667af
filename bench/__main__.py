"""`make bench`, or `make bench ARGS="song create"`: each name is a module here with `rows()`."""

import argparse
import asyncio
import importlib
import os
import platform

NAMES = (
    "start",
    "song",
    "create",
    "progress",
    "watchers",
    "throughput",
    "cancel",
    "arranger",
    "mastering",
    "standards",
    "hearing",
    "store",
    "revise",
    "rest",
    "search",
    "musicgen",
    "voice",
)


def main() -> None:
    parser = argparse.ArgumentParser("bench", description="Measures on a real mesh and prints a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    names = parser.parse_args().names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no table {', '.join(unknown)}: there are {', '.join(NAMES)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| table | what | measured | goal |\n| --- | --- | --- | --- |")
    for name in names:
        for row in asyncio.run(importlib.import_module(f"bench.{name}").rows()):
            print(f"| {name} | {row.what} | {row.measured} | {row.goal} |", flush=True)


if __name__ == "__main__":
    main()
