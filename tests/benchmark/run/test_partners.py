"""Partners of clips: the linear search agrees with trying every clip, and takes no time."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from serxai.benchmark.run.plan import _partners


def slowly(members: list[str], speakers: dict[str, str]) -> dict[str, str]:
    found = {}
    for at, clip in enumerate(members):
        others = [other for other in members[at + 1 :] + members[:at] if speakers[other] != speakers[clip]]
        found[clip] = others[0] if others else ""
    return found


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_partners_agree_with_trying_every_clip(names: list[str]) -> None:
    speakers = {f"clip{i}": name for i, name in enumerate(names)}
    assert _partners(list(speakers), speakers) == slowly(list(speakers), speakers)


def test_twenty_thousand_clips_of_one_speaker_take_no_time() -> None:
    speakers = {f"clip{i}": "anna" for i in range(20_000)}
    start = time.process_time()
    assert set(_partners(list(speakers), speakers).values()) == {""}
    assert time.process_time() - start < 1
