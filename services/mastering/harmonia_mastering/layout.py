"""Which recordings mastering takes: 1 to 6 channels in the order of WAVE files, at 8 to 384 kHz."""

from harmonia_chassis.errors import InvalidInput, Reason

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 384_000
MAX_CHANNELS = 6


def check_layout(channels: int, rate_hz: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInput(f"{channels} channels: allowed are 1 to {MAX_CHANNELS}", reason=Reason.NOT_SUPPORTED)
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        message = f"{rate_hz} Hz: allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        raise InvalidInput(message, reason=Reason.NOT_SUPPORTED)
