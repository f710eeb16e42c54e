"""Listening studies: what listeners get, and what their answers are worth. All answers here are synthetic."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid
from serxai.benchmark.analysis.listening import ANSWER_COLUMNS, CHECK, joined_answers, study_scores
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.html import page_environment
from serxai.benchmark.report.page.examples import Example, Recordings
from serxai.benchmark.report.study import KEY, trials, write_study
from serxai.benchmark.storage.store import Explanation
from serxai.datasets.clip import Clip
from serxai.errors import InputError
from serxai.keys import digest
from serxai.methods.attribution import Attribution

SIGNS = {"emolime": -1.0, "saliency": 0.5}
METHODS = tuple(SIGNS)


class Fakes(Recordings):
    """Noise instead of a corpus."""

    def clip(self, corpus: str, name: str) -> Clip:
        samples = 0.05 * np.random.default_rng(len(name)).standard_normal(4800)
        return Clip(name, samples.astype(np.float32), "anger", "s", "female", "a", "planted")


def explanation(clip: str, method: str, sign: float, grid: Grid) -> Explanation:
    attribution = Attribution(np.array([[1.0], [sign]]), grid, "anger", method)
    return Explanation(attribution, "planted", "cnn", clip, "clean", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    grid = Grid(np.array([0.0, 1000, 8000]), np.array([0.0, 0.3]))
    examples = [
        Example(0, clip, "planted", {m: explanation(clip, m, s, grid) for m, s in SIGNS.items()})
        for clip in ("a", "bb", "ccc", "dddd", "eeeee", "ffffff")
    ]  # fmt: skip
    out = tmp_path_factory.mktemp("study")
    write_study(out, page_environment(), list(trials(examples, Fakes(), METHODS, 0)), 0)
    return out


@pytest.fixture(scope="module")
def key(folder) -> pd.DataFrame:
    return pd.read_csv(folder / KEY, dtype=str)


def synthetic(key: pd.DataFrame, listeners: int, shares: dict[str, float], seed: int = 0, attentive: bool = True):
    """Answers of machines that choose the kept part with a given probability by method, else one of the others."""
    draw = np.random.default_rng(seed)
    for number in range(listeners):
        rows = []
        for trial, sounds in key.groupby("trial"):
            by_kind = sounds.set_index("kind")["sound"]
            if sounds["method"].iloc[0] == CHECK:
                sound = by_kind["right"] if attentive else by_kind["wrong"].iloc[0]
            elif draw.random() < shares[sounds["method"].iloc[0]]:
                sound = by_kind["kept"]
            else:
                sound = by_kind[draw.choice(["removed", "random"])]
            rows.append([key["study"].iloc[0], f"machine-{seed}-{number}", trial, sound, "1.0"])
        yield f"{number}.csv", pd.DataFrame(rows, columns=list(ANSWER_COLUMNS))


def test_the_page_does_not_say_which_sound_is_which(folder, key: pd.DataFrame) -> None:
    text = (folder / "page" / "index.html").read_text("utf-8")
    data = text.split('id="data">')[1].split("</script>")[0]
    assert not any(word in data for word in (*METHODS, "kept", "removed", "random", '"a"', "dddd"))
    files = {path.stem for path in (folder / "page" / "assets").iterdir()}
    assert files == set(key["sound"]) and len(files) == 3 * (12 + 2) and not (folder / "page" / KEY).exists()
    assert (
        key.groupby("trial")["kind"]
        .apply(lambda kinds: tuple(sorted(kinds)))
        .isin([("kept", "random", "removed"), ("right", "wrong", "wrong")])
        .all()
    )


def test_scores_are_shares_over_chance(key: pd.DataFrame) -> None:
    """A method whose kept part is chosen as often as chance scores about 0, and its interval covers 0."""
    result = study_scores(key, list(synthetic(key, 40, {"emolime": 0.8, "saliency": 1 / 3})))
    table = result.table.set_index("method")
    assert list(table.index) == ["emolime", "saliency"] and result.excluded == [] and result.listeners == 40
    found = joined_answers(key, list(synthetic(key, 40, {"emolime": 0.8, "saliency": 1 / 3})))
    for method in METHODS:
        kinds = found.loc[found["method"] == method, "kind"]
        assert table.loc[method, "score"] == pytest.approx((kinds == "kept").mean() - (kinds == "random").mean())
    assert table.loc["emolime", "low"] > 0.5 and table.loc["saliency", "low"] < 0 < table.loc["saliency", "high"]
    assert tuple(table.loc["emolime", ["n_trials", "n_clips", "n_listeners"]]) == (240, 6, 40)
    few = study_scores(key, list(synthetic(key, 3, {"emolime": 1.0, "saliency": 0.0}))).table.set_index("method")
    assert few.loc["emolime", "score"] == 1 and np.isnan(few.loc["emolime", "low"])


def test_who_fails_a_check_does_not_count(key: pd.DataFrame) -> None:
    good = list(synthetic(key, 8, {"emolime": 1.0, "saliency": 1.0}))
    bad = list(synthetic(key, 4, {"emolime": 0.0, "saliency": 0.0}, seed=1, attentive=False))
    result = study_scores(key, [*good, *bad])
    assert (result.table["score"] == 1).all() and len(result.excluded) == 4 and result.listeners == 12


def test_answers_that_do_not_fit_are_refused(key: pd.DataFrame) -> None:
    (name, good), *_ = synthetic(key, 1, {"emolime": 1.0, "saliency": 1.0})
    for answers, said in (
        ([], "no answers"),
        ([(name, good), (name, good)], "twice"),
        ([(name, good.assign(study="other"))], "answers of study 'other'"),
        ([(name, good.assign(sound="x"))], "has no sound 'x'"),
        ([(name, good.drop(columns="sound"))], "lacks columns"),
    ):
        with pytest.raises(InputError, match=said):
            study_scores(key, answers)


def test_a_listener_goes_through_it_in_a_browser(browser, folder, key: pd.DataFrame, capsys, tmp_path) -> None:
    """Consent, all trials by the keyboard's form, the file: what it holds is scored by the command."""
    tab = browser.open(folder / "page" / "index.html", 390)
    assert tab.axe() == [] and tab.js("document.getElementById('start').disabled")
    tab.js("document.getElementById('agree').click(); document.getElementById('start').click()")
    assert tab.js("document.querySelectorAll('audio').length") == 3 and tab.axe() == []
    for _ in range(key["trial"].nunique()):
        tab.js(
            "(() => { const ask = document.querySelector('legend').textContent.match(/choose sound (.)/);"
            "const all = document.querySelectorAll('input'); all[ask ? Number(ask[1]) - 1 : 0].click();"
            "document.querySelector('form button').click(); })()"
        )
    text = tab.js("document.getElementById('file').textContent")
    assert tab.js("document.getElementById('save').download").startswith("answers-") and tab.axe() == []
    assert tab.faults() == []
    tab.close()
    table = pd.read_csv(io.StringIO(text), dtype=str)
    assert set(table["trial"]) == set(key["trial"]) and table["listener"].nunique() == 1
    (tmp_path / "a.csv").write_text(text)
    assert main(["study", "score", str(folder), str(tmp_path / "a.csv"), "--json"]) == 0
    assert '"excluded": []' in capsys.readouterr().out and (folder / "listening.csv").is_file()
    assert main(["study", "score", str(folder)]) == 2 and "one or more files" in capsys.readouterr().err


def test_whoever_leaves_out_a_check_does_not_count(key: pd.DataFrame) -> None:
    checks = set(key.loc[key["method"] == CHECK, "trial"])
    answers = list(synthetic(key, 8, {"emolime": 1.0, "saliency": 1.0}))
    name, table = answers[0]
    answers[0] = (name, table[~table["trial"].isin(sorted(checks)[:1])])
    result = study_scores(key, answers)
    assert result.excluded == [table["listener"].iloc[0]] and result.listeners == 8


@pytest.mark.parametrize("change", [{"kind": "best"}, {"study": "another"}])
def test_a_damaged_key_is_refused(key: pd.DataFrame, change: dict[str, str]) -> None:
    damaged = key.copy()
    damaged.loc[damaged.index[damaged["method"] != CHECK][1], list(change)] = list(change.values())
    with pytest.raises(InputError, match="damaged"):
        study_scores(damaged, list(synthetic(key, 1, {"emolime": 1.0, "saliency": 1.0})))


def test_names_of_sounds_are_not_made_of_kind_method_or_clip(folder, key: pd.DataFrame) -> None:
    """Whoever knows the program cannot find a sound's kind, or a trial's method, by trying all names."""
    for row in key[key["method"] != CHECK].itertuples():
        assert all(
            digest("sound of a trial", row.trial, kind)[:16] != row.sound for kind in ("kept", "removed", "random")
        )
        assert digest("trial", 0, 0, row.clip, row.method)[:12] != row.trial
        body = (folder / "page" / "assets" / f"{row.sound}.flac").read_bytes()
        assert digest("sound of a trial", row.trial, body)[:16] == row.sound
