"""Content digests and seeded random generators.

Both depend on what is computed only, never on execution order, time, process or machine.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def digest(*parts: object, size: int = 16) -> str:
    """BLAKE2b hex digest of JSON-serialisable objects, bytes and numpy arrays.

    Parameters
    ----------
    *parts : object
        Order matters. Arrays are hashed with dtype and shape, floats by their shortest exact representation.
    size : int
        Bytes of the digest (the string has twice as many characters).

    Returns
    -------
    str

    Examples
    --------
    >>> digest("clip", 1) == digest("clip", 1), digest("clip", 1) == digest("clip1")
    (True, False)
    """
    h = hashlib.blake2b(digest_size=size)
    _feed(h, parts)
    return h.hexdigest()


def _feed(h: hashlib.blake2b, parts: tuple[object, ...]) -> None:
    for part in parts:
        if isinstance(part, np.ndarray):
            header, body = f"array:{part.dtype.str}:{part.shape}", np.ascontiguousarray(part).tobytes()
        elif isinstance(part, bytes):
            header, body = "bytes", part
        else:
            header, body = "json", json.dumps(part, sort_keys=True, separators=(",", ":"), default=str).encode()
        h.update(f"{header}:{len(body)};".encode())
        h.update(body)


def rng(*parts: object) -> np.random.Generator:
    """Random generator seeded by ``digest("rng", *parts)``: the same draws for any order, shard, worker or resume.

    Parameters
    ----------
    *parts : object
        As for `digest`: what the draws belong to, e.g. a purpose, a clip and a repeat.
    """
    return np.random.default_rng(int(digest("rng", *parts), 16))


class Seed:
    """Identity from which generators are seeded, and which cannot be read back.

    ``Seed(*parts).rng(*more)`` draws what ``rng(*parts, *more)`` draws; whoever holds the seed learns nothing of
    the parts, which may name a clip, its emotion or its condition.

    Parameters
    ----------
    *parts : object
        As for `rng`.

    Examples
    --------
    >>> Seed("clip", 1).rng("phase").random() == rng("clip", 1, "phase").random()
    True
    """

    __slots__ = ("_hash",)

    def __init__(self, *parts: object) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        _feed(self._hash, ("rng", *parts))

    def rng(self, *more: object) -> np.random.Generator:
        """Random generator seeded by the parts and `more`."""
        h = self._hash.copy()
        _feed(h, more)
        return np.random.default_rng(int(h.hexdigest(), 16))

    def __repr__(self) -> str:
        return f"Seed({self._hash.hexdigest()})"

    def __eq__(self, other: object) -> bool:
        """Whether both were made of the same parts."""
        return isinstance(other, Seed) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))
