"""The table of expected directions: complete, sourced, never merged."""

import pandas as pd
import pytest

from serxai.cues.expert import RECALLED, STATUSES, directions, expectations, sources
from serxai.cues.records import CUES
from serxai.errors import UnknownNameError


def test_table_is_complete_and_sourced():
    table = pd.DataFrame(expectations())
    assert list(table.columns) == ["emotion", "cue", "direction", "source", "citation", "status", "where"]
    assert len(table) == 138
    assert not table.duplicated(["emotion", "cue", "source"]).any()
    assert set(table.direction) == {-1, 0, 1}
    assert set(table.cue) <= set(CUES.names())
    assert (table[["emotion", "cue", "source", "citation", "status"]].map(len) > 0).all(axis=None)
    assert (table.groupby("source").citation.nunique() == 1).all()
    assert set(table.status) == set(STATUSES)
    assert ((table["where"] != "") == (table.status != RECALLED)).all()  # who quotes it, or what was read
    assert "neutral" not in set(table.emotion)


def test_directions_hold_every_row_once():
    table = pd.DataFrame(expectations())
    rows = {
        (emotion, cue, source, direction)
        for emotion in set(table.emotion)
        for source, cues in directions(emotion).items()
        for cue, direction in cues.items()
    }
    assert rows == set(zip(table.emotion, table.cue, table.source, table.direction, strict=True))


def test_sources_that_disagree_stay_apart():
    fear = directions("fear")
    assert fear["JL"]["f0_variability"] == -1 and fear["S86"]["f0_variability"] == 1
    assert directions("fear", "JL") == {"JL": fear["JL"]}


def test_recalled_rows_are_left_out_on_request_and_enough_remain():
    for emotion in ("anger", "happiness", "sadness", "fear"):
        every, checked = directions(emotion), directions(emotion, checked=True)
        assert set(checked) < set(every) and len(checked) >= 4
        assert all(cues.items() <= every[source].items() for source, cues in checked.items())
    assert "S03" not in directions("anger", checked=True)
    assert set(directions("happiness", checked=True)["JL"]) == {"f0_level", "f0_variability", "speech_rate"}


def test_neutral_and_unknown():
    assert directions("neutral") == {} and directions("boredom") == {}
    assert directions("surprise", "BSR") == {}
    with pytest.raises(UnknownNameError, match="unknown source 'JLL'"):
        directions("anger", "JLL")
    assert "BSR" in sources()


def test_a_caller_cannot_change_the_table():
    directions("anger")["JL"].clear()
    assert directions("anger")["JL"]["f0_level"] == 1
