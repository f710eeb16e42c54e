"""Tables and descriptions of a user's own corpus: malformed, ambiguous, mistyped, or out to run code."""

from __future__ import annotations

import pickle
from itertools import pairwise

from .case import CANARY, Case
from .sound import GOOD

HEAD = "file,emotion,speaker\n"
ROWS = "a.wav,anger,x\nb.wav,sadness,y\n"
TABLES: dict[str, bytes] = {
    name: text.encode("utf-8", "surrogateescape")
    for name, text in {
        "empty": "",
        "header alone": HEAD,
        "no header": ROWS,
        "one column": "file\na.wav\nb.wav\n",
        "comma in a cell": HEAD + "a.wav,anger,x\nb.wav,she said no, never,y\n",
        "fewer cells": HEAD + "a.wav,anger\nb.wav,sadness,y\n",
        "open quote": HEAD + 'a.wav,"anger,x\nb.wav,sadness,y\n',
        "stray quote": HEAD + 'a.wav,an"ger,x\nb.wav,sadness,y\n',
        "header twice": "file,file,emotion,speaker\na.wav,a.wav,anger,x\n",
        "null byte": HEAD + "a.wav\0,anger,x\n",
        "control characters": HEAD + "a.wav,\x1b[2Janger,x\nb.wav,sadness,\x1b]0;t\x07\n",
        "markup": HEAD + "a.wav,[/x],x\nb.wav,[red]sadness,y\n",
        "formula": HEAD + "a.wav,=1+1,x\nb.wav,@SUM(A1),y\n",
        "absolute": HEAD + "/etc/passwd,anger,x\nb.wav,sadness,y\n",
        "above": HEAD + "../../../../etc/passwd,anger,x\nb.wav,sadness,y\n",
        "home of nobody": HEAD + "~nosuchuser/a.wav,anger,x\nb.wav,sadness,y\n",
        "folder": HEAD + ".,anger,x\nb.wav,sadness,y\n",
        "device": HEAD + "/dev/zero,anger,x\nb.wav,sadness,y\n",
        "missing file": HEAD + "none.wav,anger,x\nb.wav,sadness,y\n",
        "long name": HEAD + "x" * 5000 + ".wav,anger,x\nb.wav,sadness,y\n",
        "file twice": HEAD + "a.wav,anger,x\na.wav,sadness,y\n",
        "nan speaker": HEAD + "a.wav,anger,nan\nb.wav,sadness,\n",
        "near-equal speakers": HEAD + "a.wav,anger,Anna\nb.wav,sadness,anna\n",
        "one emotion": HEAD + "a.wav,anger,x\nb.wav,anger,y\n",
        "unknown emotions": HEAD + "a.wav,zorn,x\nb.wav,wut,y\n",
        "numbers": HEAD + "1,2,3\n4,5,6\n",
        "old mac newlines": (HEAD + ROWS).replace("\n", "\r"),
        "latin-1": HEAD + "a.wav,anger,M\udcfcller\nb.wav,sadness,y\n",
        "byte order mark": "\ufeff" + HEAD + ROWS,
        "tabs": (HEAD + ROWS).replace(",", "\t"),
        "semicolons": (HEAD + ROWS).replace(",", ";"),
        "long cell": HEAD + "a.wav,anger," + "x" * 300_000 + "\nb.wav,sadness,y\n",
        "many columns": "file,emotion,speaker" + ",c" * 3000 + "\na.wav,anger,x" + ",1" * 3000 + "\n",
    }.items()
} | {"utf-16": (HEAD + ROWS).encode("utf-16"), "binary": bytes(range(256)) * 20, "xlsx": b"PK\x03\x04" + bytes(200)}

DESCRIPTIONS = {
    "empty": "",
    "no toml": "= = =",
    "unknown key": "colour = 1\n",
    "wrong type": "name = 1\nlicence = []\n",
    "table number": "table = 3\n",
    "trust": 'trust = true\nname = "x"\n',
    "deep": "a = " + "[" * 5000 + "]" * 5000 + "\n",
    "labels to nothing": '[labels]\nanger = ""\n',
    "labels of labels": "[labels]\nanger = {a = 1}\n",
    "table elsewhere": 'table = "../../../etc/passwd"\n',
    "null": 'name = "a\\u0000b"\n',
    "control characters": 'name = "\\u001b[2J"\nlicence = "\\u202e"\n',
    "huge number": "name = 1e999\n",
    "not utf-8": b"name = '\xff'\n",
}
_SOUNDS = {"a.wav": GOOD, "b.wav": GOOD}
_YAML = "name: t\nsource: s\nusage: unrestricted\nlanguages: [deu]\n"
_CSV = {"db.emotion.csv": HEAD + ROWS}
_TABLES = "tables: {emotion: {type: filewise, columns: {emotion: {}, speaker: {}}}}\n"
HEADERS = {
    "empty": "",
    "a list": "- 1\n- 2\n",
    "call": _YAML + f"description: !!python/object/apply:os.mkdir ['../{CANARY}']\n" + _TABLES,
    "new": _YAML + f"description: !!python/object/new:os.mkdir ['../{CANARY}']\n" + _TABLES,
    "name": _YAML + "description: !!python/name:os.system\n" + _TABLES,
    "module": _YAML + "description: !!python/module:antigravity\n" + _TABLES,
    "own tag": _YAML + "description: !mine x\n" + _TABLES,
    "aliases": "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghi")) + _YAML,
    "deep": "a: " + "[" * 400 + "]" * 400 + "\n",
    "no tables": _YAML,
    "unclosed": _YAML + "tables: {emotion: {",
    "table elsewhere": _YAML + "tables: {../../secret: {type: filewise, columns: {emotion: {}}}}\n",
}  # fmt: skip


class _Touch:
    def __reduce__(self) -> tuple:
        import os

        return os.mkdir, (f"../{CANARY}",)


PICKLE = pickle.dumps(_Touch())
VERIFY = ("corpus", "verify", "folder:.")
CASES = [
    Case(f"table/{name}", VERIFY, _SOUNDS | {"labels.csv": data}, allowed=(0, 1, 2)) for name, data in TABLES.items()
]
CASES += [
    Case(f"table/{name}.tsv", VERIFY, _SOUNDS | {"labels.tsv": data.replace(b",", b"\t")}, allowed=(0, 1, 2))
    for name, data in TABLES.items()
]
CASES += [
    Case(
        f"table/corpus.toml {name}",
        VERIFY,
        _SOUNDS | {"labels.csv": HEAD + ROWS, "corpus.toml": text},
        allowed=(0, 1, 2),
    )
    for name, text in DESCRIPTIONS.items()
]
CASES += [
    Case(f"table/db.yaml {name}", VERIFY, _SOUNDS | _CSV | {"db.yaml": text}, allowed=(0, 1, 2))
    for name, text in HEADERS.items()
]
CASES += [
    Case("table/pickle alone", VERIFY, _SOUNDS | {"db.yaml": _YAML + _TABLES, "db.emotion.pkl": PICKLE}),
    Case("table/pickle beside", VERIFY, _SOUNDS | _CSV | {"db.yaml": _YAML + _TABLES, "db.emotion.pkl": PICKLE},
         allowed=(0, 1, 2)),
    Case("table/none", VERIFY),
    Case("table/link to itself", VERIFY, build=lambda folder: (folder / "labels.csv").symlink_to("labels.csv")),
]  # fmt: skip
