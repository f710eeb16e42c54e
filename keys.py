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
    for part in parts:
        if isinstance(part, np.ndarray):
            header, body = f"array:{part.dtype.str}:{part.shape}", np.ascontiguousarray(part).tobytes()
        elif isinstance(part, bytes):
            header, body = "bytes", part
        else:
            header, body = "json", json.dumps(part, sort_keys=True, separators=(",", ":"), default=str).encode()
        h.update(f"{header}:{len(body)};".encode())
        h.update(body)
    return h.hexdigest()


def rng(*parts: object) -> np.random.Generator:
    """Random generator seeded by ``digest("rng", *parts)``: the same draws for any order, shard, worker or resume.

    Parameters
    ----------
    *parts : object
        As for `digest`: what the draws belong to, e.g. a purpose, a clip and a repeat.
    """
    return np.random.default_rng(int(digest("rng", *parts), 16))
