"""Files of statements and their scores on a corpus, baselines beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.statements import (
    BASELINES,
    BOARD_COLUMNS,
    StatementScores,
    label_aware,
    random_statements,
    score_statements,
    statements_of_run,
)
from serxai.benchmark.cli import statements as statements_command
from serxai.benchmark.cli.main import main
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.storage.statement_file import COLUMNS, Statement, packed, read_statements
from serxai.benchmark.storage.store import Store
from serxai.cues.expert import directions
from serxai.cues.records import REGION_CUES
from serxai.errors import InputError

DOCS = Path(__file__).parents[3] / "docs" / "statements.md"


def test_what_is_written_is_read(tmp_path: Path):
    told = [
        Statement("a", "f0_level", 1, (0.25, 0.5), 2.0, "me", 'high, "very"'),
        Statement("b", "hnr", -1, None, 1.0, "you"),
    ]
    (tmp_path / "x.csv").write_bytes(packed(told))
    assert read_statements(tmp_path / "x.csv") == told
    (tmp_path / "mine.csv").write_text("clip,cue,direction\na,jitter,less\n\n")
    assert read_statements(tmp_path / "mine.csv") == [Statement("a", "jitter", -1, method="mine")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs each"), ("clip,cue\na,hnr\n", "needs each"), ("clip,cue,direction\n", "0 statements"),
        ("clip,cue,direction,cause\na,hnr,more,x\n", "unknown column"),
        ("clip,cue,direction\na,pitch,more\n", "Allowed"),
        ("clip,cue,direction\na,hnr,up\n", "more or less"), ("clip,cue,direction\n,hnr,more\n", "clip: is empty"),
        ("clip,cue,direction\na,hnr\n", "2 fields"), ("clip,cue,direction,weight\na,hnr,more,-1\n", "from 1e-06"),
        ("clip,cue,direction,weight\na,hnr,more,5e-324\n", "from 1e-06"),
        ("clip,cue,direction,weight\na,hnr,more,nan\n", "number"),
        ("clip,cue,direction,start_s\na,hnr,more,1\n", "give both"),
        ("clip,cue,direction,start_s,end_s\na,hnr,more,2,1\n", "give both"),
        ("clip,cue,direction\na\x00,hnr,more\n", "NUL"),
        ("clip,cue,direction\n\x1b[31m,hnr,more\n", "printable"), ('clip,cue,direction\n"a,hnr,more\n', "statements"),
    ],
)  # fmt: skip
def test_a_file_that_is_none(tmp_path: Path, text: str, message: str):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_statements(tmp_path / "x.csv")


def test_the_documentation_names_every_column_and_cue():
    text = DOCS.read_text("utf-8")
    assert all(f"`{name}`" in text for name in (*COLUMNS, *REGION_CUES))
    assert ",".join(COLUMNS) in text and ", ".join(REGION_CUES) in text


def test_baselines_do_not_ask_the_recogniser():
    told = {one.cue: one.direction for one in label_aware("a", "anger")}
    for cue, direction in told.items():
        votes = [of[cue] for of in directions("anger", checked=True).values() if cue in of]
        assert np.sign(sum(votes)) == direction
    assert told["f0_level"] == 1 and label_aware("a", "neutral") == []
    drawn = random_statements("a", 0)
    assert drawn == random_statements("a", 0) != random_statements("b", 0)
    assert len({one.cue for one in drawn}) == len(drawn) == 3


@pytest.mark.real_data
@pytest.mark.long
def test_scores_on_real_clips(data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    clips = ["03a01Wa", "10a02Wa", "03a02Ta"]
    told = [one._replace(method="textbook") for clip, emotion in zip(clips, ("anger", "anger", "sadness"), strict=True)
            for one in label_aware(clip, emotion)]  # fmt: skip
    found = score_statements(told, "emodb", "cnn", execution=Execution(data_root=data_root))
    rows = found.rows.drop(columns=["method", "baseline"])
    pd.testing.assert_frame_equal(
        rows[found.rows["method"] == "textbook"].reset_index(drop=True),
        rows[found.rows["method"] == "label-aware"].reset_index(drop=True),
    )
    assert set(found.board["method"]) == {"textbook", *BASELINES} and found.families.empty
    assert rows["used"].dropna().between(0, 1).all() and rows.loc[rows["cue"] == "loudness", "z"].isna().all()
    path = tmp_path / "x.csv"
    path.write_bytes(packed(told))
    line = ["score", "--statements", str(path), "--corpus", "emodb", "--data-root", str(data_root), "--json"]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    assert main([*line, "--out", str(tmp_path / "out2"), "--target", "envy"]) == 2
    run = ["run", "--corpus", "emodb", "--data-root", str(data_root), "--method", "beyond-saliency", "--metric", "gini"]
    assert main([*run, "--limit", "4", "--workers", "1", "--out", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--statements", "--out", str(tmp_path)]) == 0
    exported = read_statements(tmp_path / "statements.csv")
    assert exported and {one.method for one in exported} == {"beyond-saliency"}
    assert len(exported) == len(statements_of_run(Store(tmp_path / "run")))


@pytest.mark.long
def test_planted_families_are_found_by_who_knows_them():
    """The truth as statements has precision and recall 1, its negation 0, and the truth is used more than by chance."""
    from serxai.corpora import load_corpus

    corpus = load_corpus("planted")
    clips = corpus.select(["anger", "happiness", "sadness"])[:6]
    corpus.prepare(clips)
    told = []
    for clip in clips:
        for cue, change in (corpus.clip(clip).plant.cues).items():  # type: ignore[union-attr]
            if cue in REGION_CUES and change:
                told.append(Statement(clip, cue, int(np.sign(change)), method="truth"))
                told.append(Statement(clip, cue, -int(np.sign(change)), method="negated"))
    board = score_statements(told, "planted", "cnn").board.set_index("method")
    assert board.loc["truth", ["precision", "recall"]].tolist() == [1, 1]
    assert board.loc["negated", ["precision", "recall"]].tolist() == [0, 0]
    assert board.loc["truth", "true"] > board.loc["random", "true"] > board.loc["negated", "true"] - 0.05
    assert board.loc["truth", "used"] > board.loc["negated", "used"]


def test_what_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.csv").write_text("clip,cue,direction\na,hnr,more\n")
    assert main(["score", "--statements", str(tmp_path / "x.csv")]) == 2
    assert main(["score"]) == 2
    assert main(["score", str(tmp_path), "--statements", str(tmp_path / "x.csv")]) == 2
    assert capsys.readouterr().err.count("serxai: ") == 3


def test_tables_of_statements_run_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = pd.DataFrame({"method": ["=1+1"], "clip": ["@SUM(A1)"], "z": [-1.5]})
    board = pd.DataFrame([dict.fromkeys(BOARD_COLUMNS, 0.5) | {"method": "=1+1", "baseline": False}])
    monkeypatch.setattr(statements_command, "score_statements", lambda *_: StatementScores(rows, rows, board))
    (tmp_path / "x.csv").write_text("clip,cue,direction\na,hnr,more\n")
    line = ["score", "--statements", str(tmp_path / "x.csv"), "--corpus", "planted", "--out", str(tmp_path / "out")]
    assert main(line) == 0
    assert (tmp_path / "out" / "statements.csv").read_text() == "method,clip,z\n'=1+1,'@SUM(A1),-1.5\n"
    assert "\n'=1+1," in (tmp_path / "out" / "board.csv").read_text()
