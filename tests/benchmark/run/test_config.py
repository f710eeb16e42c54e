"""The configuration schema: presets, files, overrides, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from serxai.audio.fill_records import FILL_NAMES
from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import RunConfig, load_config, preset_names
from serxai.benchmark.run.plan import cells_of
from serxai.datasets.shifts.conditions import CONDITIONS
from serxai.errors import InputError
from serxai.keys import rng
from serxai.methods.records import METHODS
from serxai.metrics.records import METRICS


def test_quick_preset_is_the_main_job():
    config = load_config()
    assert config.corpora == ["planted"] and config.models == ["cnn"] and config.limit == 64
    assert {"random", "energy", "oracle"} <= set(config.methods)
    assert {"clean", "noise-20db", "noise-10db"} == set(config.conditions)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str):
    assert isinstance(load_config(preset=name), RunConfig)


def test_file_overrides_preset_and_flags_override_file(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('methods = ["random", "energy"]\nlimit = 8\nseed = 3\n')
    config = load_config(path, limit=4, methods=[])
    assert config.methods == ["random", "energy"] and config.limit == 4 and config.seed == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('metods = ["random"]', "did you mean 'methods'"),
        ('methods = ["salency"]', "Did you mean 'saliency'"),
        ("methods = []", "'methods'"),
        ("limit = -1", "'limit'"),
        ("limit = 'many'", "'limit'"),
        ("seed = -1", "'seed'"),
        ('fills = ["atenuate"]', "'attenuate'"),
        ('methods = ["random", "random"]', "more than once"),
        ("limit = = 3", "not valid TOML"),
    ],
)
def test_bad_files_name_the_key(tmp_path: Path, text: str, expected: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        load_config(path)


def test_missing_file_and_unknown_preset(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="quick"):
        load_config(preset="quik")


def test_fills_are_those_named_or_else_the_candidates():
    config = load_config()
    assert config.fills_for("planted") == config.fills_for("emodb") == ["attenuate", "spectral-mean", "noise"]
    assert config.n_fills == 1 and not config.fills
    assert load_config(fills=["noise"]).fills_for("planted") == ["noise"]
    with pytest.raises(InputError, match="fill"):
        load_config(candidate_fills=["nois"])


def test_cells_are_the_full_product_where_a_metric_is_defined():
    config = load_config(
        methods=["random", "energy"], metrics=["deletion", "consistency", "gini"], fills=["noise", "twin"],
        conditions=["clean", "noise-20db", "noise-10db"],
    )  # fmt: skip
    cells = list(cells_of(config, config.fills))
    assert len(set(cells)) == len(cells)
    # deletion: 3 conditions x 2 fills, consistency: the 2 shifted ones, gini: 3 conditions; each for 2 methods
    assert len(cells) == 2 * (3 * 2 + 2 + 3)
    assert not [c for c in cells if c[2] == "consistency" and c[0] == "clean"]


def test_twin_is_left_out_where_clips_have_none():
    config = load_config(preset="full", corpora=["planted", "emodb"], fills="all")
    assert config.fills_for("planted") == ["attenuate", "noise", "spectral-mean", "zero", "twin"]
    assert config.fills_for("emodb") == ["attenuate", "noise", "spectral-mean", "zero"]
    with pytest.raises(InputError, match=r"--fill: 'twin' alone cannot fill clips of emodb"):
        load_config(corpora=["emodb"], fills=["twin"])


def test_everything_preset_is_everything_registered():
    config = load_config(preset="everything")
    for registry, named in ((METHODS, config.methods), (METRICS, config.metrics), (CONDITIONS, config.conditions)):
        assert sorted(named) == sorted(name for name in registry.names() if not name.endswith(":"))
    assert config.fills == list(FILL_NAMES) and config.limit == 0


def test_words_stand_for_several_names(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('metrics = ["core", "quantus:ROAD", "irof"]\nmethods = ["energy", "all"]\nconditions = "all"\n')
    config = load_config(path)
    core = [record.name for record in METRICS if record.core]
    assert config.metrics == [*core, "quantus:ROAD", "irof"] and len(core) > 5
    assert config.methods[0] == "energy" and sorted(config.methods) == sorted(
        n for n in METHODS.names() if n[-1] != ":"
    )
    assert config.conditions == CONDITIONS.names()
    assert load_config(metrics=["core", core[1]]).metrics == [core[0], *core[2:], core[1]]
    path.write_text('conditions = "core"')
    with pytest.raises(InputError, match="conditions"):
        load_config(path)
    with pytest.raises(InputError, match="given more than once"):
        load_config(metrics=["core", "gini", "gini"])


# -- conditions of metrics named as flags ------------------------------------------------------------------------------


def test_metrics_named_are_scored_on_clean_clips_alone():
    notes: list[str] = []
    config = load_config(
        methods=["random", "energy", "oracle"], metrics=["abpc", "gini"], limit=12, notify=notes.append
    )
    assert config.conditions == ["clean"] and not notes
    assert 12 * len(list(cells_of(config, ["noise"]))) == 72  # 12 clips x 3 methods x 2 metrics
    assert load_config(metrics=["gini"], preset="full").conditions == ["clean"]


def test_a_metric_of_shifted_clips_adds_one_shift_and_says_so():
    notes: list[str] = []
    config = load_config(metrics=["consistency", "gini"], notify=notes.append)
    assert config.conditions == ["clean", load_config().conditions[1]]
    assert len(notes) == 1 and "consistency" in notes[0] and f"--condition {config.conditions[1]}" in notes[0]
    assert "gini" not in notes[0]
    without_shift = load_config(preset="paper-emolime", metrics=["consistency"])
    assert without_shift.conditions == ["clean", "noise-20db"]


def test_conditions_that_were_given_are_kept(tmp_path: Path):
    given = ["noise-10db", "clean"]
    assert load_config(metrics=["gini"], conditions=given).conditions == given
    path = tmp_path / "c.toml"
    path.write_text('conditions = ["telephone"]')
    assert load_config(path, metrics=["gini"]).conditions == ["telephone"]
    earlier = load_config(conditions=given).model_dump()
    assert load_config(earlier=earlier, metrics=["gini"]).conditions == given


# -- generated bad files -----------------------------------------------------------------------------------------------

GOOD = {
    "corpora": '["planted"]', "models": '["cnn"]', "methods": '["random", "energy"]', "metrics": '["abpc", "gini"]',
    "conditions": '["clean"]', "emotions": '["anger", "neutral"]', "fills": '["noise"]', "target": '"predicted"',
    "trained_on": '"planted"', "limit": "4", "seed": "0",
}  # fmt: skip
LISTS = ("corpora", "models", "methods", "metrics", "conditions", "emotions", "fills")
NAMES = ("target", "trained_on")
NUMBERS = ("limit", "seed")
NOT_A_LIST = ['"random"', "3", "true", "{ a = 1 }", "[1, 2]", '[["random"]]', "[true]", "[nan]", "1979-05-27", '[""]']
NOT_A_NAME = ["3", "true", '["predicted"]', "nan", "{ a = 1 }", '""', "07:32:00"]
NOT_A_NUMBER = [
    '"4"', "4.0", "4.5", "nan", "inf", "-inf", "true", "false", "[4]", "{ a = 4 }", "-1", "-9223372036854775808",
    "9223372036854775808", "1" + "0" * 300, "1979-05-27",
]  # fmt: skip


def with_a_slip(word: str, draw: np.random.Generator) -> str:
    """The word with one letter lost, doubled, swapped or changed."""
    at = int(draw.integers(len(word) - 1))
    slips = (
        word[:at] + word[at + 1 :],
        word[: at + 1] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + "q" + word[at + 1 :],
    )
    return slips[draw.integers(len(slips))]


def bad_file(number: int) -> tuple[bytes, str]:
    """A valid file with one thing wrong, and what the message must name."""
    draw = rng("bad config", number)

    def one_of(choices: Sequence[str]) -> str:
        return choices[draw.integers(len(choices))]

    def file(lines: dict[str, str], extra: str = "") -> bytes:
        return ("\n".join(f"{key} = {value}" for key, value in lines.items()) + f"\n{extra}\n").encode()

    kind = number % 10
    if kind == 0:
        key = one_of(LISTS)
        return file(GOOD | {key: one_of(NOT_A_LIST)}), key
    if kind in (1, 2):
        key = one_of(NUMBERS)
        return file(GOOD | {key: one_of(NOT_A_NUMBER)}), key
    if kind == 3:
        key = one_of(NAMES)
        return file(GOOD | {key: one_of(NOT_A_NAME)}), key
    if kind == 4:
        key = one_of(list(GOOD))
        wrong = with_a_slip(key, draw)
        while wrong in GOOD:
            wrong = with_a_slip(key, draw)
        return file({wrong if k == key else k: v for k, v in GOOD.items()}), wrong
    if kind == 5:
        key = one_of([*LISTS, *NAMES])
        names = json.loads(GOOD[key])
        names = [names] if isinstance(names, str) else names
        wrong = with_a_slip(names[-1], draw)
        while wrong in names:
            wrong = with_a_slip(names[-1], draw)
        return file(GOOD | {key: json.dumps([*names[:-1], wrong] if key in LISTS else wrong)}), key
    if kind == 6:
        key = one_of([k for k in LISTS if k != "fills"])
        return file(GOOD | {key: "[]"}), key
    if kind == 7:
        key = one_of(LISTS)
        names = json.loads(GOOD[key])
        return file(GOOD | {key: json.dumps([*names, one_of(names)])}), key
    if kind == 8:
        key = one_of(list(GOOD))
        rest = {k: v for k, v in GOOD.items() if k != key}
        table = one_of([f"[{key}]\nnames = {GOOD[key]}", f"[[{key}]]\nname = {GOOD[key]}", f"[run]\n{key} = 1"])
        return file(rest, table), "run" if table.startswith("[run]") else key
    key = one_of(list(GOOD))
    text = file(GOOD)
    broken = (
        text.replace(key.encode(), key.encode("utf-16"), 1),
        text.replace(f"{key} =".encode(), f"{key} ".encode(), 1),
        text + f"{key} = {GOOD[key]}\n".encode(),
        b"\xff\xfe" + text,
        text + b"x = " + b"[" * 2000 + b"]" * 2000,
        text + b"x = " + b"9" * 5000,
    )
    return broken[draw.integers(len(broken))], "TOML"


BAD = list(dict(bad_file(number) for number in range(600)).items())[:200]  # each another file


def test_there_are_200_bad_files():
    assert len(BAD) == len({content for content, _ in BAD}) == 200


@pytest.mark.parametrize(("content", "named"), BAD, ids=range(len(BAD)))
def test_generated_bad_files_name_the_key(tmp_path: Path, content: bytes, named: str):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(path)
    message = str(caught.value)
    assert named in message.replace(str(path), "", 1) and str(path) in message
    assert len(message) < 1200 and "\n" not in message and "Error" not in message


def test_what_is_mutated_is_valid(tmp_path: Path):
    path = tmp_path / "good.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in GOOD.items()))
    assert load_config(path).methods == ["random", "energy"]


@pytest.mark.parametrize("number", [0, 1, 4, 5, 9])
def test_bad_files_end_the_command_with_2(tmp_path: Path, capsys: pytest.CaptureFixture, number: int):
    content, named = bad_file(number)
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert main(["run", str(path), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr()
    assert named in told.err and told.err.startswith("serxai: ") and "Traceback" not in told.err and not told.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", [{"limit": True}, {"seed": 2.0}, {"limit": "3"}])
def test_numbers_are_strict_for_the_library_too(flag: dict):
    with pytest.raises(InputError, match=next(iter(flag))):
        load_config(**flag)


def test_clean_only_metrics_save_their_calls_until_conditions_or_metrics_are_named(tmp_path: Path):
    quick = load_config()
    assert {c for c, _, m, _ in cells_of(quick, ["noise"]) if m == "abpc"} == {"clean"}
    assert {c for c, _, m, _ in cells_of(quick, ["noise"]) if m == "gini"} == set(quick.conditions)
    for overrides in ({"conditions": ["clean", "noise-10db"]}, {"metrics": ["abpc"]}):
        config = load_config(**overrides)
        assert {c for c, _, m, _ in cells_of(config, ["noise"]) if m == "abpc"} == set(config.conditions)
    path = tmp_path / "c.toml"
    path.write_text('clean_only = ["abcp"]')
    with pytest.raises(InputError, match="abpc"):
        load_config(path)


def test_a_wrong_value_is_named_as_it_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.toml").write_text("limit = -2")
    assert main(["run", "--limit", "-1", "--seed", "-3"]) == 2
    assert capsys.readouterr().err.startswith("serxai: --limit: ")
    assert main(["run", str(tmp_path / "c.toml"), "--seed", "-3"]) == 2
    error = capsys.readouterr().err
    assert f"config {tmp_path / 'c.toml'}: key 'limit'" in error and "--seed" in error


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--metric", "nope"], "--metric: unknown metric"),
        (["--corpus", "nope"], "--corpus: unknown corpus"),
        (["--method", "random", "--method", "random"], "--method: random given more than once"),
        (["--corpus", "emodb", "--fill", "twin"], "--fill: 'twin' alone"),
        (["--trained-on", "nope"], "--trained-on: unknown corpus"),
        (["--emotion", "nope"], "--emotion: unknown emotion"),
        (["--target", "nope"], "--target: unknown target"),
        (["--repeats", "0"], "--repeats: "),
        (["--max-memory", "0"], "--memory must be"),
        (["--workers", "0"], "--workers must be"),
        (["--checkpoint", "none"], "--checkpoint none: no such file"),
        (["--corpus", "emodb", "--data-root", "none"], "--data-root none: no such folder"),
        (["--retry-failed"], "--retry-failed continues a run"),
    ],
)
def test_errors_name_the_flag(arguments: list[str], flag: str, capsys: pytest.CaptureFixture[str]):
    assert main(["run", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"serxai: {flag}")


def test_wrong_input_is_found_before_anything_heavy_is_imported(tmp_path: Path):
    """In a fresh process, because this one has imported everything."""
    wrong = [
        ["--metric", "nope"], ["none.toml"], ["--workers", "0"], ["--limit", "-1"], ["--preset", "quik"],
        ["--checkpoint", "none"], ["--corpus", "emodb", "--data-root", "none"], ["--resume", "--out", "none"],
        ["--retry-failed"], ["--fill", "zeros"],
    ]  # fmt: skip
    program = (
        "import sys; from serxai.benchmark.cli.main import main\n"
        f"assert [main(['run', *flags]) for flags in {wrong!r}] == [2] * {len(wrong)}\n"
        "print(*{'torch', 'librosa', 'scipy', 'pandas', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


# -- names added to a run that is continued ----------------------------------------------------------------------------


def earlier(**changes: object) -> dict[str, object]:
    settings = {"methods": ["energy"], "metrics": ["abpc"], "conditions": ["clean"], "models": ["cnn"], "limit": 2}
    return load_config(**settings | {"fills": ["attenuate"]} | changes).model_dump()


@pytest.mark.parametrize(
    "key, new, expected",
    [
        ("methods", ["random"], ["energy", "random"]),
        ("methods", ["energy"], ["energy"]),
        ("metrics", ["gini", "abpc"], ["abpc", "gini"]),
        ("conditions", ["noise-10db"], ["clean", "noise-10db"]),
        ("models", ["planted-rule"], ["cnn", "planted-rule"]),
        ("fills", ["noise"], ["attenuate", "noise"]),
    ],
)
def test_resuming_adds_names(key: str, new: list[str], expected: list[str]):
    before = earlier()
    after = load_config(earlier=before, **{key: new}).model_dump()
    assert after[key] == expected and {k: v for k, v in after.items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }
    assert before == earlier()


def test_resuming_replaces_what_is_no_list_of_names_and_expands_words():
    after = load_config(earlier=earlier(), limit=5, seed=3, emotions=["anger"], metrics=["all"])
    assert (after.limit, after.seed, after.emotions) == (5, 3, ["anger"])
    assert set(after.metrics) == set(load_config(metrics=["all"]).metrics)
    corpora = load_config(earlier=earlier(), corpora=["emodb"], fills=["noise"])
    assert corpora.corpora == ["planted", "emodb"] and corpora.fills_for("emodb") == ["attenuate", "noise"]


def test_resuming_keeps_what_is_scored_on_clean_clips_alone_but_for_metrics_named():
    before = earlier(metrics=["abpc", "deletion"], conditions=["clean", "noise-10db"]) | {
        "clean_only": ["abpc", "deletion"]
    }
    assert load_config(earlier=before, methods=["random"]).clean_only == ["abpc", "deletion"]
    assert load_config(earlier=before, conditions=["noise-20db"]).clean_only == ["abpc", "deletion"]
    assert load_config(earlier=before, metrics=["abpc", "gini"]).clean_only == ["deletion"]


def test_a_metric_that_would_add_no_row_is_refused():
    with pytest.raises(InputError, match=r"--metric consistency.*--condition noise-20db"):
        load_config(earlier=earlier(), metrics=["consistency"])
    assert load_config(earlier=earlier(), metrics=["consistency"], conditions=["noise-20db"])
