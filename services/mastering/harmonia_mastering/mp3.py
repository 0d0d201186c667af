"""MP3 by LAME: 320 kbit/s, constant, joint stereo, with the frame that tells decoders where the music begins and ends.

Runs in a child process only. It refuses more than two channels.
"""

import struct
from collections.abc import Iterable

import lameenc  # type: ignore[import-not-found]  # has no types
import numpy as np
from numpy.typing import NDArray

from harmonia_mastering.pcm import pcm16

RATES_HZ = (32_000, 44_100, 48_000)
_BITRATE_KBPS = 320
# LAME's own default. A minute of music takes 1.2 s at 2, 0.7 s at 3, 0.6 s at 5 and 0.5 s at 7; of these only 7 adds
# noise that can be measured (10 dB below 1 kHz).
_QUALITY = 3
_FRAME = 1152
# Of LAME's filter bank; decoders add 529 of their own.
_ENCODER_DELAY = 576


def encode_mp3(blocks: Iterable[NDArray[np.float32]], shape: tuple[int, ...], rate_hz: int) -> bytes:
    """blocks: float32 [channels, n], 1 or 2 channels, at 32, 44.1 or 48 kHz. shape: [channels, n] of all of them."""
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_in_sample_rate(rate_hz)
    encoder.set_channels(shape[0])
    encoder.set_bit_rate(_BITRATE_KBPS)
    encoder.set_quality(_QUALITY)
    frames, start = bytearray(), 0
    for block in blocks:
        frames += encoder.encode(pcm16(block, start=start).tobytes())
        start += block.shape[1]
    frames += encoder.flush()
    return _info_frame(bytes(frames), shape[1]) + bytes(frames)


def _info_frame(frames: bytes, length: int) -> bytes:
    """The Info frame of a constant bit rate file (Xing's layout, LAME's extension): an empty frame like the others."""
    header = bytearray(frames[:4])
    header[2] &= ~0x02  # no padding byte
    size = _frame_size(header)
    count = _count_frames(frames)
    silence = 32 if header[3] >> 6 != 3 else 17  # the side information of a frame without sound
    delays = (_ENCODER_DELAY << 12) | (count * _FRAME - _ENCODER_DELAY - length)
    body = b"".join(
        [
            bytes(header),
            bytes(silence),
            b"Info",
            struct.pack(">III", 0x0F, count, size + len(frames)),
            bytes(min(255, round(256 * percent / 100)) for percent in range(100)),
            struct.pack(">I", 100),
            b"LAME".ljust(9),
            bytes([0x01, 200]),  # revision 0, constant bit rate; low-pass at 20 kHz
            bytes(8),  # no peak, no gain said: the loudness is what was asked for
            bytes([0, 255]),
            delays.to_bytes(3, "big"),
            bytes([0b01_00_11_00 | 0, 0]),  # joint stereo
            struct.pack(">HI", _BITRATE_KBPS, size + len(frames)),
            bytes(2),  # no checksum of the music: nobody reads it, and in Python it takes 0.1 s
        ]
    )
    return (body + struct.pack(">H", _crc16(body))).ljust(size, b"\0")


def _frame_size(header: bytes | bytearray) -> int:
    rate_hz = (44_100, 48_000, 32_000)[header[2] >> 2 & 0x03]
    return 144_000 * _BITRATE_KBPS // rate_hz + (header[2] >> 1 & 0x01)


def _count_frames(frames: bytes) -> int:
    count = at = 0
    while at + 4 <= len(frames):
        at += _frame_size(frames[at : at + 4])
        count += 1
    return count


def _crc16(data: bytes) -> int:
    # CRC-16/ARC, the one LAME uses; binascii has only the other polynomial.
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_row(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


_CRC_TABLE = [_crc_row(byte) for byte in range(256)]
