"""Child processes that encode, seen from the service: a few, started ahead, replaced when they die."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from types import TracebackType
from typing import Self

from harmonia_chassis.errors import DeadlineExceeded, Internal, Reason, Unavailable
from harmonia_mastering.encode import Order

# Ten minutes of music take LAME 8 s; a shared core a few times as long.
_PATIENCE = timedelta(seconds=120)


class Encoders:
    """`async with Encoders(2) as encoders:` then `await encoders.encode(order)`, as many at once as you like."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: asyncio.Queue[Process | None] = asyncio.Queue()
        self._all: set[Process] = set()

    async def __aenter__(self) -> Self:
        for process in await asyncio.gather(*(self._start() for _ in range(self._count))):
            self._idle.put_nowait(process)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self._end(process) for process in tuple(self._all)))

    async def encode(self, order: Order) -> float:
        """The CPU seconds it took.

        Raises Unavailable when the encoder dies, DeadlineExceeded when it hangs, Internal when it says why it cannot.
        """
        process: Process | None = await self._idle.get()
        try:
            if process is None or process.returncode is not None:
                process = await self._start()
            answer = await self._ask(process, order)
        except BaseException:
            # In the middle of an order, or dead: the next one gets a new process, also when this is cancelled again.
            ending, process = process, None
            if ending is not None:
                await asyncio.shield(self._end(ending))
            raise
        finally:
            self._idle.put_nowait(process)
        if "error" in answer:
            raise Internal(f"{order.format}: {answer['error']}", reason=Reason.ENCODER_FAILED)
        return float(answer["cpu_s"])

    async def _ask(self, process: Process, order: Order) -> dict[str, str | float]:
        stdin, stdout = process.stdin, process.stdout
        assert stdin
        assert stdout
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                stdin.write(order.to_json().encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except TimeoutError as error:
            message = f"the {order.format} encoder took longer than {_PATIENCE.total_seconds():.0f} s"
            raise DeadlineExceeded(message, reason=Reason.ENCODER_FAILED) from error
        except ConnectionError as error:
            raise _died(order) from error
        if not line.endswith(b"\n"):
            raise _died(order)
        answer: dict[str, str | float] = json.loads(line)
        return answer

    async def _start(self) -> Process:
        # A session of its own: ctrl-C in a terminal is for the service, which ends its encoders itself.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "harmonia_mastering.encode", stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        self._all.add(process)
        assert process.stdout
        if not await process.stdout.readline():
            raise Unavailable("an encoder process does not start", reason=Reason.ENCODER_FAILED)
        return process

    async def _end(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._all.discard(process)


def _died(order: Order) -> Unavailable:
    return Unavailable(f"the {order.format} encoder died", reason=Reason.ENCODER_FAILED)
