"""Folders of maps and files of statements: malformed, out to run code, to leave their folder, or to fill the memory."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from .case import EVIL, NAMES_CODE, Build, Case
from .settings import MODULE

HEAD = "map,clip,target,grid,corpus,model\n"
SCORE = ("score", "maps", "--metric", "gini", "--workers", "1", "--out", "out")


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    """A file with a header of our own, as numpy writes it."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + body


def described(shape: str, kind: str = "'<f4'", body: bytes = b"") -> bytes:
    return npy(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}", body)


def archive(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def array(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, dtype=np.float32))
    return buffer.getvalue()


ARRAYS = {
    "huge shape": described("(99999999999, 99999)"),
    "negative shape": described("(-1, -4)", body=bytes(16)),
    "shape of truth": described("(True, 4)", body=bytes(16)),
    "objects": described("(1, 1)", "'|O'", bytes(8)),
    "pickle": b"cos\nsystem\n(S'mkdir ../canary'\ntR.",
    "open brackets": npy("{'descr': '<f4', ((("),
    "deep header": npy("-" * 9000 + "1"),
    "many brackets": npy("(" * 3000),
    "not finite": array([[np.nan, np.inf]]),
    "no frames": array(np.ones((4, 0))),
    "empty": b"",
}
ARCHIVES = {
    "bomb": archive(("values.npy", bytes(80 * 2**20))),
    "path of an entry": archive(("../../canary.npy", array([[1.0]]))),
    "header of an entry": archive(
        ("values.npy", npy("{'descr': '<f4', (((")),
    ),
}
MANIFESTS = {
    "code in the manifest": HEAD + f"a.npy,c,anger,bands,emodb,{NAMES_CODE}\n",
    "above": HEAD + "../../../etc/a.npy,c,anger,bands,emodb,cnn\n",
    "absolute": HEAD + "/etc/a.npy,c,anger,bands,emodb,cnn\n",
    "control characters": HEAD + "a.npy,\x1b[2Jc,anger,bands,emodb,cnn\n",
    "row twice": HEAD + "a.npy,c,anger,bands,emodb,cnn\n" * 2,
    "unknown column": "map,clip,target,trust\na.npy,c,anger,1\n",
    "huge grid": HEAD + "a.npy,c,anger,stft n_fft=9999999999999 hop=1,emodb,cnn\n",
}
JSON = {"deep": "[" * 100_000, "long number": '[{"map": ' + "9" * 9999 + "}]", "surrogate": '[{"map": "\\ud800.npy"}]'}
STATEMENTS = {
    "no rows": "clip,cue,direction\n",
    "many empty lines": "clip,cue,direction\n" + "\n" * 2**20,
    "weight that vanishes": "clip,cue,direction,weight\nc,hnr,more,5e-324\n",
    "infinite weight": "clip,cue,direction,weight\nc,hnr,more,inf\n",
    "control characters": "clip,cue,direction\nc,\x1b[2Jhnr,more\n",
}
LINKS: dict[str, Build] = {
    "link out": lambda folder: (folder / "maps" / "a.npy").symlink_to("/etc/passwd"),
    "link to itself": lambda folder: (folder / "maps" / "a.npy").symlink_to("a.npy"),
}
_ROW = HEAD + "a.npy,c,anger,bands,emodb,cnn\n"
CASES = [
    Case(f"maps/{name}", SCORE, {"maps/manifest.csv": _ROW, "maps/a.npy": content}) for name, content in ARRAYS.items()
]
CASES += [
    Case(f"maps/{name}", SCORE, {"maps/manifest.csv": _ROW.replace("npy", "npz"), "maps/a.npz": content})
    for name, content in ARCHIVES.items()
]
CASES += [
    Case(f"maps/{name}", SCORE, {"maps/manifest.csv": text, "maps/a.npy": array([[1.0, 2.0]]), f"{EVIL}.py": MODULE})
    for name, text in MANIFESTS.items()
]
CASES += [Case(f"maps/json {name}", SCORE, {"maps/manifest.json": text}) for name, text in JSON.items()]
CASES += [Case(f"maps/{name}", SCORE, {"maps/manifest.csv": _ROW}, build) for name, build in LINKS.items()]
CASES += [
    Case(f"maps/statements, {name}", ("score", "--statements", "a.csv", "--corpus", "emodb", "--out", "out"),
         {"a.csv": text})
    for name, text in STATEMENTS.items()
]  # fmt: skip
