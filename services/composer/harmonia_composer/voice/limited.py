"""A program that may not take much: `python -I limited.py CPU_SECONDS MEMORY_BYTES PROGRAM ARGUMENT…`.

It sets its own limits and becomes the program. A script by itself, so that nothing of a service comes along.
"""

import os
import resource
import sys


def main(cpu_s: str, memory_bytes: str, program: str, *arguments: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s)))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(program, [program, *arguments])  # noqa: S606  # no shell: the program is given by its path


if __name__ == "__main__":
    main(*sys.argv[1:])
