"""Sound files that are damaged, empty, mislabelled or no sound at all."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from .case import Case

RATE = 16_000
TABLE = "file,emotion,speaker\nbad.wav,anger,a\ngood.wav,sadness,a\nbad.wav2,neutral,b\n".replace(
    "bad.wav2", "other.wav"
)


def tone(seconds: float = 0.5, rate: int = RATE, scale: float = 0.1) -> np.ndarray:
    """A plain tone."""
    return scale * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Bytes of a sound file."""
    body = io.BytesIO()
    soundfile.write(body, samples, rate, format=kind, subtype=subtype)
    return body.getvalue()


def wav(
    samples: np.ndarray,
    *,
    riff: int | None = None,
    data: int | None = None,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    code: int = 1,
) -> bytes:
    """A WAV file whose header may lie."""
    body = (samples * 32767).astype("<i2").tobytes()
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", code, channels, rate, min(rate * block, 2**32 - 1), block % 65536, bits)
    size = len(body) if data is None else data
    return (
        b"RIFF" + struct.pack("<I", 36 + len(body) if riff is None else riff) + b"WAVEfmt " + struct.pack("<I", 16)
        + head + b"data" + struct.pack("<I", size) + body
    )  # fmt: skip


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


GOOD = encoded(tone())
_RNG = np.random.default_rng(0)
_FLAC, _OGG = encoded(tone(), kind="FLAC"), encoded(tone(), kind="OGG")

SOUNDS: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"R",
    "text": b"this is no sound\n" * 40,
    "html": b"<html><body>404 not found</body></html>",
    "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 132300\n",
    "noise": _RNG.bytes(4000),
    "header alone": GOOD[:44],
    "half a header": GOOD[:20],
    "no samples": encoded(np.zeros(0)),
    "one sample": encoded(np.array([0.1])),
    "silence": encoded(np.zeros(8000)),
    "dc": encoded(np.full(8000, 0.5)),
    "nan": encoded(np.full(8000, np.nan), subtype="FLOAT"),
    "infinite": encoded(np.full(8000, np.inf), subtype="FLOAT"),
    "huge floats": encoded(np.full(8000, 1e30), subtype="FLOAT"),
    "integer scale": encoded(tone(scale=20_000), subtype="FLOAT"),
    "cancelling channels": encoded(np.column_stack([tone(), -tone()])),
    "dead channel": encoded(np.column_stack([tone(), 0 * tone()])),
    "1 Hz": wav(tone(), rate=1),
    "0 Hz": wav(tone(), rate=0),
    "4 GHz": wav(tone(), rate=2**32 - 1),
    "0 channels": wav(tone(), channels=0),
    "60000 channels": wav(tone(), channels=60_000),
    "0 bits": wav(tone(), bits=0),
    "unknown codec": wav(tone(), code=0x1234),
    "promises 4 GB": wav(tone(), riff=2**32 - 1, data=2**32 - 1),
    "promises too little": wav(tone(), data=2),
    "cut": GOOD[: len(GOOD) // 2],
    "cut flac": _FLAC[: len(_FLAC) // 2],
    "cut ogg": _OGG[: len(_OGG) // 2],
    "gsm": encoded(tone(), 8000, subtype="GSM610"),
    "48 kHz 8 bit": encoded(tone(rate=48_000), 48_000, subtype="PCM_U8"),
    "flac as wav": _FLAC,
    "ogg as wav": _OGG,
    "pickle": b"\x80\x04\x95" + _RNG.bytes(60),
    "zip": b"PK\x03\x04" + _RNG.bytes(60),
} | {
    f"flac with byte {at} flipped": _flipped(_FLAC, at) for at in (4, 8, 20, 26, 60, 900)
} | {
    f"wav with byte {at} flipped": _flipped(GOOD, at) for at in (0, 5, 9, 16, 20, 22, 25, 34, 41)
}  # fmt: skip
NAMES = (
    "take[final].wav",
    "[",
    "\x1b[2J.wav",
    "a\nb.wav",
    "x" * 250 + ".wav",
    "-h.wav",
    "caf\u0301e.wav",
    "\u202e.wav",
)

CASES = [
    Case(
        f"sound/{what}, verify",
        ("corpus", "verify", "folder:."),
        {"labels.csv": TABLE, "bad.wav": data, "good.wav": GOOD, "other.wav": encoded(tone(0.6))},
        allowed=(0, 1, 2),
    )
    for what, data in SOUNDS.items()
]
CASES += [
    # refused as soon as it is read, or else because of the target: nothing is computed
    Case(f"sound/{what}, explain", ("explain", "a.wav", "--target", "no-such-emotion"), {"a.wav": data})
    for what, data in SOUNDS.items()
]
CASES += [
    Case(f"sound/named {name[:20]!r}", ("explain", f"./{name}", "--target", "none"), {name: b"nothing"})
    for name in NAMES
]
