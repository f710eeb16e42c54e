"""The registry, keys and seeds that all rooms stand on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serxai.errors import InputError, UnknownNameError
from serxai.keys import digest, rng
from serxai.registry import PluginWarning, Record, Registry


def a_record(name: str = "one", **changes: str) -> Record:
    fields = {"target": "math:sqrt", "summary": "s", "version": "1", "licence": "MIT", "citation": "none"}
    return Record(name=name, **fields | changes)


def test_records_load_lazily_and_duplicates_are_refused():
    registry = Registry("thing", Record, [a_record("one"), a_record("two")])
    assert registry.names() == ["one", "two"] and "two" in registry and "three" not in registry
    assert registry.get("one").load()(9) == 3
    with pytest.raises(InputError, match="registered twice"):
        registry.add(a_record("one"))
    with pytest.raises(InputError, match="takes Record"):
        registry.add("one")  # type: ignore[arg-type]


def test_a_name_with_a_colon_stands_for_a_family():
    registry = Registry("thing", Record, [a_record("one"), a_record("folder:")])
    found = registry.get("folder:my/data:2.csv")
    assert (found.name, found.argument) == ("folder:my/data:2.csv", "my/data:2.csv")
    assert found.target == registry.get("folder:").target and "folder:x" in registry and "other:x" not in registry
    assert registry.names() == ["one", "folder:"] and registry.get("one").argument == ""
    with pytest.raises(UnknownNameError):
        registry.get("one:x")


def test_unknown_names_get_near_misses():
    registry = Registry("method", Record, [a_record("saliency"), a_record("emolime")])
    with pytest.raises(UnknownNameError, match="Did you mean 'saliency'"):
        registry.get("salincy")
    with pytest.raises(UnknownNameError, match="Known: emolime, saliency"):
        registry.get("zzz")


@pytest.mark.parametrize("field", ["target", "summary", "version", "licence", "citation"])
def test_every_field_must_be_filled(field: str):
    with pytest.raises(InputError, match=field):
        a_record(**{field: " "})


def test_unknown_fields_are_refused():
    with pytest.raises(TypeError, match="colour"):
        Record(name="a", target="m:a", summary="s", version="1", licence="l", citation="c", colour="red")  # type: ignore[call-arg]


parts = st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()), max_size=4)


@given(parts, parts)
def test_digest_tells_parts_apart(a: list, b: list):
    same = [(type(x), x) for x in a] == [(type(x), x) for x in b]
    if same:
        assert digest(*a) == digest(*b)
    elif repr(a) != repr(b):
        assert digest(*a) != digest(*b)


def test_digest_of_arrays_sees_dtype_shape_and_bytes():
    x = np.arange(6, dtype=np.float32)
    others = [x.astype(np.float64), x.reshape(2, 3), x + np.float32(1e-6), x[::-1]]
    assert len({digest(x), *map(digest, others)}) == 5
    assert digest(x) == digest(x.copy()) == digest(np.arange(12, dtype=np.float32).reshape(6, 2)[:, 0] / 2)


def test_rng_depends_on_identity_only():
    assert rng("a", 1).random() == rng("a", 1).random()
    draws = {rng("clip", method, metric, i).random() for method in "ab" for metric in "cd" for i in range(50)}
    assert len(draws) == 200


def test_listing_is_fast_and_free_of_torch():
    code = (
        "import sys; from serxai.benchmark.cli.main import main; main(['ls', 'methods']); "
        "heavy = {'torch', 'pandas', 'librosa', 'captum', 'matplotlib'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "emolime" in result.stdout


def test_datasets_of_hugging_face_is_not_shadowed(tmp_path):
    """`import datasets` from the repository root finds an installed package of that name, not our folder."""
    from pathlib import Path

    import serxai

    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("ORIGIN = 'installed'\n")
    root = Path(serxai.__file__).parent
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import datasets; print(datasets.ORIGIN)"
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.stdout.strip() == "installed", result.stderr


class Point:
    """An entry point of an installed package."""

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.group, self.dist, self.loaded = name, "serxai.things", None, loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_a_broken_entry_point_is_named_and_the_rest_works(monkeypatch: pytest.MonkeyPatch):
    points = [
        Point("absent", ModuleNotFoundError("No module named 'gone'\nmore")), Point("taken", [a_record("one")]),
        Point("no list", 3), Point("good", [a_record("two")]),
    ]  # fmt: skip
    monkeypatch.setattr("serxai.registry.entry_points", lambda group: points)
    registry = Registry("thing", Record, [a_record("one")])
    with pytest.warns(PluginWarning) as told:
        assert registry.names() == ["one", "two"]
    lines = [str(one.message) for one in told]
    assert [line.split("'")[1] for line in lines] == ["absent", "taken", "no list"]
    assert not any("\n" in line for line in lines) and "No module named 'gone'" in lines[0]
    assert registry.get("two").version == "1"


def test_a_path_is_told_how_to_be_named(tmp_path, monkeypatch):
    from serxai.datasets.corpora import CORPORA
    from serxai.models.records import MODELS

    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls").mkdir()
    for name in ("mynet.py", "mynet.onnx", "labels.csv", "notes.txt"):
        (tmp_path / name).touch()
    for registry, name, said in (
        (CORPORA, "calls", r"write folder:calls\."),
        (CORPORA, "labels.csv", r"write folder:labels\.csv\."),
        (MODELS, "calls", r"write hf:calls\."),
        (MODELS, "mynet.py", r"write python:mynet:FACTORY\."),
        (MODELS, "mynet.onnx", r"write onnx:mynet\.onnx\."),
    ):
        with pytest.raises(UnknownNameError, match=said):
            registry.get(name)
    for registry, name in ((CORPORA, "notes.txt"), (MODELS, "notes.txt"), (CORPORA, "none"), (CORPORA, "a\0b")):
        with pytest.raises(UnknownNameError, match=r"unknown \w+ .*Known") as caught:
            registry.get(name)
        assert "There is a path" not in str(caught.value)
