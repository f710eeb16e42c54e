"""Settings files of ``serxai run`` and ``serxai qualify``, and names typed in place of registered ones."""

from __future__ import annotations

from .case import EVIL, NAMES_CODE, Case

LISTS = ("corpora", "models", "methods", "metrics", "conditions", "emotions", "fills")
NUMBERS = ("limit", "repeats", "seed")
BAD_LISTS = ("3", '""', '["no-such-name"]', "[1]", "[[]]", '["\\u001b[2J"]', '["[/x]"]', "{a = 1}", '["a\\u0000"]')
BAD_NUMBERS = ("-1", "1.5", '"3"', "true", "[]", "99999999999999999999999", "nan", "1e400")
WHOLE = {
    "no toml": "= = =",
    "not utf-8": b"limit = '\xff\xfe'",
    "null bytes": b"\0" * 100,
    "unknown key": 'colour = "red"',
    "key twice": "limit = 1\nlimit = 2",
    "code": f'models = ["{NAMES_CODE}"]',
    "code and trust": f'models = ["{NAMES_CODE}"]\ntrust = true',
    "os.system": 'models = ["python:os:system"]',
    "code among others": f'models = ["cnn", "{NAMES_CODE}"]',
    "checkpoint": 'checkpoints = {cnn = "x"}',
    "deep": "limit = " + "[" * 4000 + "]" * 4000,
    "long": "limit = " + "9" * 100_000,
    "quantus internals": 'metrics = ["quantus:__builtins__"]',
    "quantus nothing": 'metrics = ["quantus:"]',
    "method of nothing": 'methods = ["smooth:"]',
    "contrast with itself": 'target = "anger-anger"',
    "part": 'part = "all"',
    "parameters of nothing": "[parameters.no-such-method]\na = 1",
    "unknown parameter": "[parameters.emolime]\nno-such = 1",
    "tuning without grid": '[tuning]\nmetric = "abpc"\ngrid = {}',
    "tuning of nothing": '[tuning]\nmetric = "no-such"\n[tuning.grid.emolime]\nsamples = [1]',
    "model of a path": 'models = ["onnx:/dev/null"]',
    "hub of nobody": 'models = ["hf:/no/such/folder"]',
    "corpus of a path": 'corpora = ["folder:/proc/self"]',
    "corpus of a device": 'corpora = ["folder:/dev/zero"]',
}
MODULE = f"import pathlib\npathlib.Path(__file__).parent.with_name('canary').mkdir()\n# {EVIL}\n"

_EVIL = {f"{EVIL}.py": MODULE}
CASES = [
    Case(f"settings/{key} = {text[:30]}", ("run", "a.toml", "--dry-run"), {"a.toml": f"{key} = {text}\n"})
    for keys, bad in ((LISTS, BAD_LISTS), (NUMBERS, BAD_NUMBERS), (("target", "trained_on"), BAD_NUMBERS))
    for key in keys
    for text in bad
    if (key, text) not in {("fills", "{a = 1}")}
]
CASES += [
    Case(f"settings/{name}, {command}", (command, "a.toml", *more), {"a.toml": text} | _EVIL)
    for name, text in WHOLE.items()
    for command, more in (("run", ("--out", "out")), ("qualify", ("--dry-run",)))
]
CASES += [
    Case("settings/a folder", ("run", ".", "--dry-run")),
    Case("settings/a device", ("run", "/dev/null/x", "--dry-run")),
    Case("settings/nothing", ("run", "none.toml", "--dry-run")),
]
