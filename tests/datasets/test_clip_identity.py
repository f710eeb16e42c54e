"""What tells one clip from another in a key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serxai.datasets.clip import Clip, Word


def test_the_alignment_is_part_of_the_identity_but_not_of_the_seed() -> None:
    samples = np.linspace(-1, 1, 1600, dtype=np.float32)
    bare = Clip("c", samples)
    assert bare.identity == bare.sha256
    words = (Word("so", 0.01, 0.05),)
    variants = [
        bare,
        replace(bare, words=words),
        replace(bare, phones=words),
        replace(bare, words=(Word("so", 0.01, 0.06),)),
        replace(bare, words=(Word("na", 0.01, 0.05),)),
        replace(bare, words=words, phones=words),
    ]
    assert len({clip.identity for clip in variants}) == len(variants)
    assert len({clip.sha256 for clip in variants}) == 1
    assert replace(bare, words=words, emotion="anger").identity == replace(bare, words=words).identity
