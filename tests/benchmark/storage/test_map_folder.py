"""Folders of maps from elsewhere: what is read, where it lies on the clip, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from serxai.audio import Grid, scoring_grid
from serxai.audio.grid import band_edges_hz
from serxai.benchmark.storage.map_folder import COLUMNS, read_map_folder, write_maps
from serxai.errors import ClipError, InputError
from serxai.maps import ExternalMap, from_captum, from_quantus
from serxai.methods.map_grids import parse_grid

ROW = {"map": "a.npy", "clip": "c", "target": "anger", "grid": "stft n_fft=8 hop=4"}


def folder(place: Path, rows: list[dict], values: object = None) -> Path:
    with (place / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    np.save(place / "a.npy", np.ones((5, 4000)) if values is None else values)
    return place


def test_the_five_lines_of_the_documentation(tmp_path: Path):
    text = (Path(__file__).parents[3] / "docs" / "maps.md").read_text("utf-8")
    code = text.split("```python")[1].split("```")[0]
    my_maps = [("03a01Wa", "anger", np.ones((257, 100)))]
    exec(compile(code, "maps.md", "exec"), {"my_maps": my_maps, "folder": str(tmp_path)})
    read = read_map_folder(tmp_path)
    read.check()
    assert len([line for line in code.strip().splitlines() if line.strip()]) <= 6
    told = read.attribution(read.rows[0], 0.8, "anger")
    assert told.values.shape == (257, 100) and told.method == "maps:my-method"


def test_every_column_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "maps.md").read_text("utf-8")
    assert all(f"`{name}`" in text for name in COLUMNS)


def test_what_is_written_is_read(tmp_path: Path):
    grid = Grid(np.array([0.0, 500.0, 8000.0]), np.array([-0.1, 0.5, 1.0]))
    values = np.array([[1.0, -2.0], [3.0, 4.0]])
    write_maps(tmp_path, [ExternalMap("c", "anger", values, grid, "m", calls=7, against="noise", stochastic="no")])
    read = read_map_folder(tmp_path)
    told = read.attribution(read.rows[0], 1.0, "anger")
    np.testing.assert_array_equal(told.values, values)
    assert told.grid == grid and told.model_calls == 7 and told.target == "anger"
    assert read.methods() == {"maps:m": {"against": "noise", "seeds": "no"}}
    entries = [
        dict(zip(COLUMNS, line, strict=True)) for line in list(csv.reader((tmp_path / "manifest.csv").open()))[1:]
    ]
    (tmp_path / "manifest.csv").unlink()
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    assert read_map_folder(tmp_path).rows == read.rows


@pytest.mark.parametrize(
    ("text", "shape", "freq", "time"),
    [
        ("stft n_fft=8 hop=4", (5, 4000), [0, 1000, 3000, 5000, 7000, 8000], (-2 / 16000, 15998 / 16000)),
        ("stft n_fft=8 hop=4 center=no", (5, 4000), [0, 1000, 3000, 5000, 7000, 8000], (2 / 16000, 16002 / 16000)),
        ("stft n_fft=8", (5, 224), [0, 1000, 3000, 5000, 7000, 8000], (0.0, 1.0)),
        ("stft n_fft=4 hop=44 sr=44100", (3, 1003), [0, 5512.5, 16537.5, 22050], (-22 / 44100, 1002.5 * 44 / 44100)),
        ("mel n_mels=128 hop=160", (128, 100), band_edges_hz(128), (-0.005, 0.995)),
        ("bands", (8, 1), band_edges_hz(8), (0.0, 1.0)),
        ("waveform", (16000,), [0, 8000], (0.0, 1.0)),
        ("waveform sr=8000", (1, 8000), [0, 8000], (0.0, 1.0)),
    ],
)  # fmt: skip
def test_a_grid_lies_where_its_bins_do(text: str, shape: tuple[int, ...], freq: list[float], time: tuple[float, float]):
    values = np.random.default_rng(0).standard_normal(shape)
    moved, grid = parse_grid(text).on_clip(values, 1.0)
    np.testing.assert_allclose(grid.freq_edges_hz, freq, rtol=1e-6)
    np.testing.assert_allclose([grid.time_edges_s[0], grid.time_edges_s[-1]], time, atol=1e-9)
    assert moved.shape == grid.shape
    np.testing.assert_allclose(moved.sum(), values.sum())


def test_a_tone_is_found_again(tmp_path: Path):
    """Relevance at 3 kHz and .5 s in any layout lands in the cell of the scoring grid that holds it."""
    samples = np.zeros(16000)
    samples[8000] = 1.0
    spectrum = np.zeros((257, 126))
    spectrum[96, 62] = 1.0
    rows = [("waveform", samples), ("stft n_fft=512 hop=128", spectrum)]
    target = scoring_grid(1.0)
    for text, values in rows:
        moved, grid = parse_grid(text).on_clip(values, 1.0)
        on = grid.transfer(moved, target)
        column = np.argmax(on.sum(axis=0))
        assert target.time_edges_s[column] <= 0.5 <= target.time_edges_s[column + 1]
        if text != "waveform":
            row = np.argmax(on.sum(axis=1))
            assert target.freq_edges_hz[row] <= 3000 <= target.freq_edges_hz[row + 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown kind"), ("sonogram n=1", "unknown kind"), ("stft", "needs n_fft="),
        ("stft n_fft=x", "cannot read"), ("stft n_fft=8 hop=-1", "cannot read"), ("stft n_fft=1", "must lie in"),
        ("stft n_fft=99999999", "cannot read"),
        ("mel n_mels=0", "must lie in"), ("mel n_mels=8 center=no", "needs n_fft="), ("mel n_mels=8 fmin=9000", "fmin"),
        ("waveform sr=1", "must lie in"), ("bands n=8", "cannot read"),
    ],
)  # fmt: skip
def test_a_description_that_is_none(text: str, message: str):
    with pytest.raises(InputError, match=message):
        parse_grid(text)


def test_a_map_of_other_samples_is_refused():
    spec = parse_grid("stft n_fft=512 hop=128")
    with pytest.raises(ClipError, match="other samples"):
        spec.on_clip(np.ones((257, 500)), 1.0)
    with pytest.raises(InputError, match="transposed"):
        spec.on_clip(np.ones((126, 257)), 1.0)
    with pytest.raises(ClipError, match="scoring grid"):
        parse_grid("scoring").on_clip(np.ones((16, 40)), 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"map": "../a.npy"}, "inside the folder"), ({"map": "/etc/a.npy"}, "inside the folder"),
        ({"map": "x/..\\a.npy"}, "inside the folder"), ({"map": "a.pkl"}, ".npz or .npy"), ({"clip": ""}, "is empty"),
        ({"target": "an\x1b[31mger"}, "printable"), ({"method": "<b>"}, "letters, digits"), ({"repeat": "-1"}, "whole"),
        ({"calls": "1e99"}, "whole"), ({"calls": "9" * 5000}, "at most 256"), ({"stochastic": "perhaps"}, "one of"),
        ({"grid": "stft"}, "needs n_fft"), ({"maps": "a"}, "did you mean 'map'"),
        ({"__class__": "x"}, "unknown column"),
    ],
)  # fmt: skip
def test_a_hostile_row_is_refused(tmp_path: Path, change: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        read_map_folder(folder(tmp_path, [ROW | change]))


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "{}", "[1]", '[{"map": "a.npy"}]', '[{"map": 1.5}]', "\xff"])
def test_a_hostile_json_is_refused(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_text(text, "latin-1")
    with pytest.raises(InputError, match="manifest"):
        read_map_folder(tmp_path)


def test_doubled_rows_two_manifests_and_none_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="none is there"):
        read_map_folder(tmp_path)
    with pytest.raises(InputError, match="row 3: the same clip"):
        read_map_folder(folder(tmp_path, [ROW, ROW | {"map": "b.npy"}]))
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match="both are there"):
        read_map_folder(tmp_path)


def packed(**arrays: np.ndarray) -> bytes:
    body = io.BytesIO()
    np.savez_compressed(body, **arrays)
    return body.getvalue()


def bomb() -> bytes:
    """A few kB that declare a gigabyte and hold 80 MB."""
    body = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**17, 1024)})
    with (
        zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("values.npy", "w", force_zip64=True) as file,
    ):
        file.write(header.getvalue())
        for _ in range(80):
            file.write(bytes(2**20))
    return body.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.npz", lambda: packed(values=np.array([{}], dtype=object)), "object"),
        ("a.npz", lambda: packed(values=np.ones((5, 4000)), more=np.ones(1)), "allowed: values"),
        ("a.npz", lambda: packed(values=np.full((5, 4000), np.nan)), "NaN"),
        ("a.npz", lambda: packed(values=np.ones((5, 4000), complex)), "numbers"),
        ("a.npz", lambda: packed(values=np.ones((4, 4000))), "5 rows"),
        ("a.npz", lambda: packed(values=np.ones((5, 40_000))), "at most"),
        ("a.npz", lambda: packed(other=np.ones((5, 4000))), "allowed: values"),
        ("a.npz", lambda: b"not a zip", "zip"),
        ("a.npz", bomb, "declares"),
        ("a.npy", lambda: b"\x93NUMPY\x01\x00", ""),
        ("a.npy", lambda: b"", ""),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused(tmp_path: Path, name: str, data: object, message: str):
    place = folder(tmp_path, [ROW | {"map": name}])
    (place / name).write_bytes(data())  # type: ignore[operator]
    with pytest.raises(InputError, match=f"map {name}: .*{message}"):
        read_map_folder(place).check()


def test_links_and_pipes_are_not_followed(tmp_path: Path):
    import os

    (tmp_path / "maps").mkdir()
    place = folder(tmp_path / "maps", [ROW])
    np.save(tmp_path / "outside.npy", np.ones((5, 4000)))
    (place / "a.npy").unlink()
    (place / "a.npy").symlink_to(tmp_path / "outside.npy")
    with pytest.raises(InputError, match="outside the folder"):
        read_map_folder(place).check()
    (place / "a.npy").unlink()
    os.mkfifo(place / "a.npy")
    with pytest.raises(InputError, match="regular file"):
        read_map_folder(place).check()


def test_identity_is_the_content(tmp_path: Path):
    grid = scoring_grid(1.0)
    values = np.random.default_rng(0).standard_normal(grid.shape)

    def key(name: str, changed: np.ndarray, **facts: object) -> str:
        write_maps(tmp_path / name, [ExternalMap("c", "anger", changed, "scoring", "m", **facts)])  # type: ignore[arg-type]
        read = read_map_folder(tmp_path / name)
        return read.content(read.rows[0])

    first = key("one", values)
    assert key("two", values) == first != key("three", values + 1e-3)
    assert key("four", values, calls=1) != first


def test_maps_of_captum_and_quantus():
    batch = torch.arange(24.0).reshape(2, 1, 3, 4)
    maps = from_captum(batch, ["a", "b"], ["anger", "sadness"], "stft n_fft=4 hop=100", "ig", lengths=[4, 3], calls=50)
    np.testing.assert_array_equal(maps[1].values, batch[1, 0, :, :3])
    assert [one.target for one in maps] == ["anger", "sadness"] and maps[0].calls == 50
    channels = torch.stack([torch.ones(3, 4), 2 * torch.ones(3, 4)])[None].requires_grad_()
    np.testing.assert_array_equal(from_captum((channels,), ["a"], "anger", "stft n_fft=4", "ig")[0].values, 3.0)
    same = from_quantus(batch.numpy(), ["a", "b"], "anger", "stft n_fft=4 hop=100", "ig")
    np.testing.assert_array_equal(same[0].values, maps[0].values)
    samples = from_captum(torch.ones(2, 16000), ["a", "b"], "anger", "waveform", "ig", lengths=[16000, 100])
    assert [one.values.shape for one in samples] == [(16000,), (100,)]
    for wrong in (np.ones((2, 1, 1, 3, 4)), np.ones(3), np.array(["x", "y"])):
        with pytest.raises(InputError, match="of shape"):
            from_quantus(wrong, ["a", "b"], "anger", "stft n_fft=4", "ig")
    with pytest.raises(InputError, match="2 maps, 1 clips"):
        from_captum(batch, ["a"], "anger", "stft n_fft=4", "ig")
    with pytest.raises(InputError, match="tuple of 2"):
        from_captum((batch, batch), ["a", "b"], "anger", "stft n_fft=4", "ig")


def test_one_map_for_one_place(tmp_path: Path):
    """A row that names no corpus holds for all, so it and one that names a corpus may be of the same place."""
    read = read_map_folder(folder(tmp_path, [ROW | {"corpus": ""}, ROW | {"corpus": "emodb"}]))
    with pytest.raises(InputError, match="two maps of own, c, clean, anger"):
        read.of("emodb", "cnn")
    assert len(read.of("tess", "cnn").rows) == 1
