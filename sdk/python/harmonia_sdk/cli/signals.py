"""What ctrl-C and SIGTERM do. The first stops the command, which then stops what it started; more change nothing."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

from harmonia_sdk.errors import Cancelled, Reason

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_to_end(work: Coroutine[object, object, None]) -> None:
    async def main() -> None:
        for number in STOPPING:
            _cancel_once(number)
        await work

    try:
        asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError) as exc:
        raise Cancelled("stopped", reason=Reason.CANCELLED) from exc


@contextmanager
def on_interrupt(pressed: Callable[[], None]) -> Iterator[None]:
    """Inside, ctrl-C calls `pressed` instead."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, pressed)
    try:
        yield
    finally:
        _cancel_once(signal.SIGINT)


def _cancel_once(number: signal.Signals) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        for other in STOPPING:
            loop.add_signal_handler(other, _nothing)
        task.cancel()

    loop.add_signal_handler(number, stop)


def _nothing() -> None:
    """Stopping takes its time already; a second cancellation would interrupt the clearing away."""
