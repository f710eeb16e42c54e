"""Wrong arguments are refused before torch, pandas and the drawing libraries are imported."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

HEAVY = ("torch", "pandas", "scipy", "matplotlib", "seaborn", "pyarrow", "transformers", "serxai.benchmark.api")

# arguments -> what the message must hold; the flag that was typed first, where there is one
CASES = {
    "explain none.wav": ("none.wav: no such file",),
    "explain empty.wav": ("empty.wav", "empty"),
    "explain text.wav": ("text.wav", "libsndfile"),
    "explain nan.wav": ("nan.wav", "NaN"),
    "explain folder": ("folder", "is a folder"),
    "explain a.wav --model cnnn": ("--model", "'cnn'"),
    "explain a.wav --method limee": ("--method", "'emolime'"),
    "explain a.wav --method beyond-saliency:": ("--method beyond-saliency:", "base method"),
    "explain a.wav --method beyond-saliency:salency": ("--method beyond-saliency:salency", "'saliency'"),
    "explain a.wav --trained-on emod": ("--trained-on", "'emodb'"),
    "explain a.wav --checkpoint none": ("--checkpoint none",),
    "explain a.wav --target boredom": ("--target 'boredom'", "knows anger, happiness"),
    "explain a.wav --target anger-anger": ("--target 'anger-anger'",),
    "explain a.wav none.wav": ("none.wav: no such file",),
    "explain a.wav folder/../a.wav": ("AUDIO", "files of one name, a.*"),
    "explain a.wav --fill nois": ("--fill", "'noise'"),
    "show method emolim": ("NAME", "'emolime'"),
    "show fill nois": ("NAME", "'noise'"),
    "explain a.wav --out a.wav": ("--out a.wav is a file",),
    "train cnnn --corpus planted --out o": ("MODEL", "'cnn'"),
    "train cnn --corpus emod --out o": ("--corpus", "'emodb'"),
    "train cnn --corpus emodb --data-root nowhere --out o": ("--corpus", "nowhere"),
    "train cnn --corpus planted --folds 1 --out o": ("--folds", "at least 2"),
    "train cnn --corpus planted --folds emobox --out o": ("--folds emobox", "--folds-root"),
    "train cnn --corpus planted --folds emobox --folds-root none --out o": ("--folds-root none",),
    "train cnn --corpus planted --folds nobody --out o": ("--folds nobody", "nobody.json"),
    "train cnn --corpus planted --folds 5 --folds speaker --out o": ("--folds speaker", "twice"),
    "ls methods --checkpoint o": ("--checkpoint", "ls methods"),
    "ls models --checkpoint none": ("none", "model card"),
    "transfer cnn --corpus emodb --out o": ("--corpus", "at least 2"),
    "transfer cnn --corpus emodb --corpus ravdess --data-root nowhere --out o": ("--corpus", "nowhere"),
    "corpus verify emod": ("NAME", "'emodb'"),
    "corpus verify emodb --data-root nowhere": ("NAME", "nowhere"),
    "corpus probe tess --data-root nowhere": ("NAME", "nowhere"),
    "corpus fetch savee": ("'savee'", "emodb"),
    "status none": ("none", "run.json"),
    "leaderboard run none --out o": ("none", "run.json"),
    "leaderboard damaged --out o": ("damaged", "--resume"),
    "leaderboard trial --out o": ("trial", "qualification.html"),
    "figures rankin --run run --out o": ("NAME", "'ranking'"),
    "figures ranking --run none --out o": ("none", "run.json"),
    "compare none --metric abpc": ("none", "run.json"),
    "compare run --metric abp": ("--metric", "'abpc'"),
    "compare run --metric abpc --method salency": ("--method", "'saliency'"),
    "compare run --metric abpc --method saliency": ("--method", "two or more"),
    "compare run --metric abpc --corpus emodb": ("--corpus", "planted"),
    "validate none": ("none", "run.json"),
    "validate run --sample -1": ("--sample", "-1"),
}

_PROGRAM = """
import contextlib, io, json, sys
from serxai.benchmark.cli.main import main

heavy, cases = json.loads(sys.argv[1])
for case in cases:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = main(case.split())
    imported = [name for name in heavy if name in sys.modules]
    print(json.dumps([case, status, errors.getvalue(), imported]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Exit status, message and heavy imports after each case, all from one fresh interpreter."""
    folder = tmp_path_factory.mktemp("inputs")
    soundfile.write(folder / "a.wav", np.zeros(16000, np.float32), 16000)
    soundfile.write(folder / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no audio " * 50)
    config = {"metrics": ["abpc"], "methods": ["saliency", "random"], "corpora": ["planted"]}
    info = {"config": config | {"models": ["cnn"]}, "status": "done", "shards": [], "planned_rows": 0}
    info |= {"corpora": {}, "models": {}, "execution": {}}
    runs = {"run": json.dumps(info), "damaged": "{", "trial": json.dumps({"qualification": {}})}
    for name, text in {**runs, "folder": ""}.items():
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps([HEAVY, list(CASES)])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return {case: tuple(rest) for case, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_refused_before_heavy_imports(case: str, answers: dict[str, tuple[int, str, list[str]]]):
    status, message, imported = answers[case]
    assert status == 2, message
    assert message.startswith("serxai: ") and message.count("\n") == 1
    missing = [text for text in CASES[case] if text not in message]
    assert not missing, (missing, message)
    assert imported == []


def test_help_imports_no_command():
    program = (
        "import sys\nfrom serxai.benchmark.cli.main import build_parser\nbuild_parser().format_help()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
