"""``serxai.run``: keywords that do what the flags of ``serxai run`` do."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import serxai
from serxai.benchmark.cli.main import build_parser, main
from serxai.errors import InputError

# flags of the command that the library has no keyword for, and keywords that are called otherwise
NOT_KEYWORDS = {"help", "debug", "json", "dry-run"}
OTHERWISE = {"param": "parameters"}


def test_keywords_mirror_the_flags() -> None:
    parser = build_parser()._subparsers._group_actions[0].choices["run"]  # type: ignore[union-attr]
    flags = {action.option_strings[0].removeprefix("--") for action in parser._actions if action.option_strings}
    flags = {flag.removeprefix("-h") or "help" for flag in flags} - NOT_KEYWORDS
    wanted = {OTHERWISE.get(flag, flag.replace("-", "_")) for flag in flags}
    assert set(inspect.signature(serxai.run).parameters) - {"config", "report", "progress"} == wanted


def test_run_is_the_run_of_the_command(tmp_path: Path) -> None:
    run = serxai.run(
        corpus="planted", method=["random", "emolime"], metric="gini", condition="clean", limit=4, workers=1,
        parameters={"emolime": {"alpha": 2.0}}, out=tmp_path / "library", report=False,
    )  # fmt: skip
    flags = "--corpus planted --method random --method emolime --metric gini --condition clean --limit 4 --workers 1"
    assert main(["run", *flags.split(), "--param", "emolime.alpha=2", "--out", str(tmp_path / "command")]) == 0
    other = serxai.open_run(tmp_path / "command")
    assert run.config == other.config and run.config["parameters"] == {"emolime": {"alpha": 2.0}}
    assert run.scores["value"].tolist() == other.scores["value"].tolist()
    assert len(run.scores) == 8 and not (run.path / "report").exists() and (other.path / "report/index.html").is_file()
    again = serxai.run(out=run.path, resume=True, method="energy", workers=1, report=False)
    assert again.config["methods"] == ["random", "emolime", "energy"] and len(again.scores) == 12


WRONG = {
    "corpus": ({"corpus": "emod"}, "^corpus: .*Did you mean 'emodb'"),
    "method": ({"method": ["salency"]}, "^method: .*'saliency'"),
    "method object": ({"method": [3]}, "^method: give a name"),
    "limit": ({"limit": -1}, "^limit: "),
    "trained_on": ({"trained_on": "emod"}, "^trained_on: "),
    "parameters": ({"parameters": {"emolime": {"alfa": 1}}}, "^parameters: .*alfa"),
    "workers": ({"workers": 0}, "^workers must be at least 1"),
    "resume": ({"resume": True}, "^resume needs out"),
    "retry_failed": ({"retry_failed": True}, "^retry_failed continues a run; give resume and out"),
    "checkpoint": ({"checkpoint": {"cnn": "none"}}, "^checkpoint cnn=none: no such file"),
    "ray_address": ({"ray_address": "auto"}, "^ray_address auto needs executor ray"),
    "data_root": ({"corpus": "emodb", "data_root": "nowhere"}, "^data_root nowhere"),
    "config object": ({"config": object()}, "^config: give the path"),
    "config file": ({"config": "none.toml"}, "no such file"),
    "preset": ({"preset": "quik"}, "'quick'"),
    "qualify": ({"preset": "qualify"}, "serxai qualify"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_keywords_are_named(case: str) -> None:
    given, said = WRONG[case]
    with pytest.raises(InputError, match=said):
        serxai.run(**given)


def test_a_wrong_keyword_imports_no_torch() -> None:
    code = (
        "import sys, serxai\ntry: serxai.run(method='salency')\nexcept ValueError: pass\n"
        "print(*{'torch', 'pandas', 'librosa', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
