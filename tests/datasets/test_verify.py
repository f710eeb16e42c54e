"""`verify_corpus` names exactly what differs: on synthetic copies whose checksums stand in for a publisher's."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serxai.benchmark.cli.corpus import verify
from serxai.datasets import corpora, manifest
from serxai.datasets.corpora import CORPORA, corpus_forbidding_derivatives
from serxai.datasets.manifest import publisher_checksums, read_manifest
from serxai.datasets.verify import verify_corpus
from serxai.errors import InputError

RECORD = CORPORA.get("emodb")
NAMES = [f"wav/{speaker}a0{n}{label}a.wav" for speaker in ("03", "08") for n in (1, 2) for label in "WFTN"]
ELSEWHERE = {"wav/16b10Wa.wav": "0" * 64, "wav/16b10Ta.wav": "1" * 64}  # the publisher's, not in any copy here


def sound(number: int, seconds: float = 0.2, rate: int = 16000) -> np.ndarray:
    """Like no other number's sound; starts and ends with something else than zero."""
    t = np.arange(round(seconds * rate)) / rate
    samples = np.round(9000 * np.sin(2 * np.pi * (150 + 10 * number) * t) + 50).astype(np.int16)
    samples[-1] = 7
    return samples


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Makes checksums the publisher's."""

    def set_sums(official: Mapping[str, str]) -> None:
        monkeypatch.setattr(manifest, "_read_sums", lambda name: official if name == "emodb" else {})

    return set_sums


@pytest.fixture
def root(tmp_path: Path, publish) -> Path:
    """A data root with 16 of the 18 clips that the pretended publisher has."""
    (tmp_path / "emodb" / "wav").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        soundfile.write(tmp_path / "emodb" / name, sound(i), 16000)
    publish({name: sha256(tmp_path / "emodb" / name) for name in NAMES} | ELSEWHERE)
    return tmp_path


def write_manifest(folder: Path, sources: Mapping[str, str] | None = None) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "sha256", "sample_rate", "duration_s", "source_sha256"])
        for name in NAMES:
            info = soundfile.info(folder / name)
            writer.writerow(
                [name, sha256(folder / name), info.samplerate, round(info.duration, 4), (sources or {}).get(name, "")]
            )


@pytest.fixture
def derived(root: Path) -> Path:
    """The same clips at another rate, with a manifest that says where they come from."""
    folder = root / "emodb"
    sources = {name: sha256(folder / name) for name in NAMES}
    for i, name in enumerate(NAMES):
        soundfile.write(folder / name, sound(i, rate=8000), 8000)
    write_manifest(folder, sources)
    return root


def faults(root: Path) -> set[tuple[str, str, str]]:
    result = verify_corpus(RECORD, root)
    assert result.ok == (not [f for f in result.findings if f.fault])
    return {(f.kind, f.file, f.detail) for f in result.findings if f.fault}


def notes(root: Path) -> dict[tuple[str, str], str]:
    return {(f.kind, f.file): f.detail for f in verify_corpus(RECORD, root).findings if not f.fault}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# ---------------------------------------------------------------- copies without fault


def test_a_partial_copy_of_the_originals(root: Path) -> None:
    result = verify_corpus(RECORD, root)
    assert result.ok and (result.origin, result.complete, result.confirmed) == ("original", False, 16)
    assert (result.clips, result.speakers) == ((16, 535), (2, 10))
    assert result.labels["anger"] == (4, 127) and result.labels["boredom"] == (0, 81)
    assert result.rates == {16000: 16} and abs(result.hours * 3600 - 3.2) < 1e-9
    assert {(f.kind, f.file) for f in result.findings} == {("absent", name) for name in ELSEWHERE}


def test_a_derived_copy_with_its_manifest(derived: Path) -> None:
    result = verify_corpus(RECORD, derived)
    assert result.ok and (result.origin, result.confirmed, result.rates) == ("derived", 16, {8000: 16})
    assert not result.findings  # a rate that the manifest states is no surprise
    shutil.copy(derived / "emodb" / NAMES[0], derived / "kept.wav")
    soundfile.write(derived / "emodb" / NAMES[0], sound(0), 16000)  # the publisher's own bytes come back
    assert verify_corpus(RECORD, derived).origin == "mixed"


def test_a_derived_copy_without_a_manifest_contradicts_the_publisher(derived: Path) -> None:
    (derived / "emodb" / "manifest.csv").unlink()
    result = verify_corpus(RECORD, derived)
    assert result.origin == "altered" and not result.ok
    assert {f.file for f in result.findings if f.kind == "changed"} == set(NAMES)


def test_a_complete_copy_says_so(root: Path) -> None:
    counts = dict.fromkeys(RECORD.emotions, 0) | {"anger": 4, "happiness": 4, "sadness": 4, "neutral": 4}
    small = replace(RECORD, clips=16, label_counts=counts)
    assert verify_corpus(small, root).complete
    (root / "emodb" / NAMES[0]).rename(root / "spare.wav")
    shutil.copy(root / "emodb" / NAMES[1], root / "emodb" / "wav" / "09a05La.wav")
    assert not verify_corpus(small, root).complete  # as many files, one of them twice


def test_without_any_checksums_only_the_sound_is_examined(root: Path, publish) -> None:
    publish({})
    (root / "emodb" / "other.wav").touch()
    result = verify_corpus(RECORD, root)
    assert (result.ok, result.origin, result.confirmed, result.findings) == (True, "unknown", 0, ())


# ---------------------------------------------------------------- exactly what differs


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(NAMES), data=st.data())
def test_any_flipped_byte_is_found_in_its_file_alone(root: Path, which: str, data) -> None:
    path = root / "emodb" / which
    whole = path.read_bytes()
    flip(path, data.draw(st.integers(0, len(whole) - 1)))
    try:
        found = verify_corpus(RECORD, root)
        assert {f.file for f in found.findings if f.fault} == {which}
        assert [f.file for f in found.findings if f.kind == "changed"] == [which]
        assert found.confirmed == 15
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("copy", ["root", "derived"])
def test_flipped_missing_renamed_and_duplicated_at_once(copy: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(copy)
    folder = root / "emodb"
    flip(folder / NAMES[0], -20)
    (folder / NAMES[1]).unlink()
    (folder / NAMES[2]).rename(folder / "wav/09a05Lb.wav")
    shutil.copy(folder / NAMES[3], folder / "wav/10a05Lb.wav")
    whose = "publisher" if copy == "root" else "manifest"
    expected = {
        ("changed", NAMES[0], f"its SHA-256 is not the {whose}'s"),
        ("renamed", "wav/09a05Lb.wav", f"has the bytes of {NAMES[2]}"),
        ("duplicate", "wav/10a05Lb.wav", f"has the bytes of {NAMES[3]}"),
    }
    if copy == "derived":
        expected.add(("missing", NAMES[1], "the manifest lists it"))
    assert faults(root) == expected
    assert verify_corpus(RECORD, root).clips[0] == 15  # the copy is no clip of its own
    if copy == "root":  # without a manifest, a copy may be partial: said, not held against it
        assert notes(root)[("absent", NAMES[1])] and ("absent", NAMES[2]) not in notes(root)


def test_two_files_that_changed_places(root: Path) -> None:
    a, b, spare = (root / "emodb" / name for name in (NAMES[0], NAMES[1], "spare"))
    a.rename(spare), b.rename(a), spare.rename(b)
    assert faults(root) == {
        ("renamed", NAMES[0], f"has the bytes of {NAMES[1]}"),
        ("renamed", NAMES[1], f"has the bytes of {NAMES[0]}"),
    }


def test_a_second_copy_in_another_folder_and_a_name_of_no_clip(root: Path) -> None:
    folder = root / "emodb"
    (folder / "again").mkdir()
    shutil.copy(folder / NAMES[0], folder / "again")  # the loader would refuse it: two files of one clip
    shutil.copy(folder / NAMES[1], folder / "copy of a clip.wav")
    (folder / NAMES[2]).rename(folder / "my favourite.wav")
    soundfile.write(folder / "song.wav", sound(99), 16000)
    found = faults(root)
    assert ("duplicate", "copy of a clip.wav", f"has the bytes of {NAMES[1]}") in found
    assert ("renamed", "my favourite.wav", f"has the bytes of {NAMES[2]}") in found
    assert ("duplicate", f"again/{Path(NAMES[0]).name}", f"has the bytes of {NAMES[0]}") in found
    assert len(found) == 3 and ("stray", "song.wav") in notes(root)
    assert verify_corpus(RECORD, root).clips[0] == 15


def test_two_files_of_one_clip_are_a_fault_without_checksums_too(root: Path, publish) -> None:
    publish({})
    (root / "emodb" / "more").mkdir()
    soundfile.write(root / "emodb" / "more" / "03A01WA.wav", sound(70), 16000)
    assert faults(root) == {("duplicate", "wav/03a01Wa.wav", "more/03A01WA.wav is the same clip with other bytes")}


def test_files_that_nobody_lists_and_unknown_labels(root: Path) -> None:
    folder = root / "emodb"
    soundfile.write(folder / "wav/15b10Wa.wav", sound(50), 16000)
    soundfile.write(folder / "wav/15b10Xa.wav", sound(51), 16000)
    (folder / "._03a01Wa.wav").write_text("what macOS leaves behind")
    found = {(kind, file): detail for kind, file, detail in faults(root)}
    assert set(found) == {("unlisted", "wav/15b10Wa.wav"), ("misnamed", "wav/15b10Xa.wav")}
    assert "unknown label 'X'; known: W, L" in found["misnamed", "wav/15b10Xa.wav"]


def test_a_manifest_that_contradicts_the_publisher_or_the_sound(derived: Path) -> None:
    path = derived / "emodb" / "manifest.csv"
    rows = list(csv.reader(path.open()))
    rows[1][4] = "ab" * 32
    rows[2][2] = "16000"
    rows[3][3] = "0.4"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert {(kind, file) for kind, file, _ in faults(derived)} == {
        ("manifest", NAMES[0]),
        ("rate", NAMES[1]),
        ("duration", NAMES[2]),
    }


def test_undecodable_and_short_files_are_faults_even_with_the_right_checksum(root: Path, publish) -> None:
    folder = root / "emodb"
    (folder / NAMES[0]).write_text("not a sound, whoever published it: too short")
    content = (folder / NAMES[1]).read_bytes()
    (folder / NAMES[1]).write_bytes(content[:-100])
    publish({name: sha256(folder / name) for name in NAMES})
    assert {(kind, file) for kind, file, _ in faults(root)} == {("undecodable", NAMES[0]), ("truncated", NAMES[1])}


# ---------------------------------------------------------------- worth knowing


def test_traps_are_notes_where_they_are_the_publishers(root: Path, publish) -> None:
    folder = root / "emodb"
    tone = sound(60)
    soundfile.write(folder / NAMES[0], tone, 16000, format="AIFF")
    soundfile.write(folder / NAMES[1], sound(61, rate=96000), 96000)
    soundfile.write(folder / NAMES[2], np.stack([tone, tone // 3], axis=1), 16000)
    soundfile.write(folder / NAMES[3], np.pad(sound(62), (1600, 160)), 16000)
    soundfile.write(folder / NAMES[4], sound(63) // 2000 + 1, 16000)
    soundfile.write(folder / NAMES[5], np.clip(sound(64).astype(int) * 6, -(2**15), 2**15 - 1).astype(np.int16), 16000)
    shutil.copy(folder / NAMES[6], folder / NAMES[7])
    publish({name: sha256(folder / name) for name in NAMES})
    assert verify_corpus(RECORD, root).ok
    found = notes(root)
    assert set(found) == {
        ("container", NAMES[0]),
        ("rate", NAMES[1]),
        ("stereo", NAMES[2]),
        ("padded", NAMES[3]),
        ("silent", NAMES[4]),
        ("clipped", NAMES[5]),
        ("same sound", NAMES[6]),
    }
    assert found["padded", NAMES[3]] == "exact zeros: 0.10 s at the start, 0.01 s at the end"
    assert found["same sound", NAMES[6]] == (
        f"decodes to the samples of {NAMES[7]}, labelled sadness here and neutral there"
    )
    assert verify_corpus(RECORD, root).padding_s["neutral"] == pytest.approx(0.11 / 4)


def test_progress_reaches_the_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serxai.datasets.verify.BATCH", 5)
    seen: list[tuple[int, int]] = []
    verify_corpus(RECORD, root, lambda done, total: seen.append((done, total)))
    assert seen == [(5, 16), (10, 16), (15, 16), (16, 16)]


# ---------------------------------------------------------------- inputs and tables


def test_a_missing_or_empty_folder_says_where_to_get_the_corpus(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match=r"files like 03a01Fa.wav in .*bilderbar"):
            verify_corpus(RECORD, tmp_path)
        (tmp_path / "emodb").mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,sum\na,b\n", "lacks column file, sha256; it has name, sum"),
        ("file,sha256,sample_rate\na.wav,b,fast\n", "line 2"),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    assert read_manifest(tmp_path) == {}
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_shipped_checksums_are_whole_and_in_sha256sums_own_format() -> None:
    expected = {"emodb": 535, "ravdess": 1440, "tess": 2800, "crema-d": 7442, "nemo": 4481}
    for name, count in expected.items():
        found = publisher_checksums(CORPORA.get(name))
        assert len(found) == count and all(len(bytes.fromhex(digest)) == 32 for digest in found.values())
        assert len({Path(file).name.casefold() for file in found}) == count  # a file is known by its name alone
    assert publisher_checksums(CORPORA.get("savee")) == {} == publisher_checksums(CORPORA.get("planted"))
    # two of each pair are the same recording under two names, in the publishers' own copies
    tables = {name: publisher_checksums(CORPORA.get(name)) for name in expected}
    assert {name: len(table) - len(set(table.values())) for name, table in tables.items()} == {
        "emodb": 0,
        "ravdess": 1,
        "tess": 0,
        "crema-d": 3,
        "nemo": 0,
    }


def test_sha256sum_accepts_a_table(root: Path) -> None:
    lines = "".join(f"{digest}  {file}\n" for file, digest in manifest._read_sums("emodb").items() if file in NAMES)
    done = subprocess.run(["sha256sum", "-c", "-"], input=lines, cwd=root / "emodb", text=True, capture_output=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == 16


# ---------------------------------------------------------------- the command


def test_the_command_prints_what_differs_and_exits_by_it(root: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = Namespace(name="emodb", data_root=root, json=False)
    assert verify(arguments) == 0
    printed = capsys.readouterr().out
    assert "original: the publisher's own files" in printed and "partial, 16 of 535 clips, 2 of 10 speakers" in printed
    assert "Nothing contradicts" in printed
    flip(root / "emodb" / NAMES[5], 100)
    assert verify(arguments) == 1
    printed = capsys.readouterr().out
    assert "what differs" in printed and NAMES[5] in printed and "1 finding contradicts" in printed
    assert verify(Namespace(name="emodb", data_root=root, json=True)) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["complete"], found["origin"], found["clips"]) == (False, False, "original", [16, 535])
    assert found["findings"][0]["kind"] == "changed" and found["labels"]["anger"] == [4, 127]


# ---------------------------------------------------------------- licences


def test_files_of_a_corpus_without_derivatives_are_known_by_bytes_and_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ours.wav"
    soundfile.write(ours, sound(1), 16000)
    assert corpus_forbidding_derivatives(ours, tmp_path) is None

    (tmp_path / "tess" / "deep").mkdir(parents=True)
    shutil.copy(ours, tmp_path / "tess" / "deep" / "any name.wav")
    found = corpus_forbidding_derivatives(tmp_path / "tess" / "deep" / "any name.wav", tmp_path)
    assert found is not None and found.name == "tess"
    (tmp_path / "link").symlink_to(tmp_path / "tess" / "deep" / "any name.wav")
    assert corpus_forbidding_derivatives(tmp_path / "link", tmp_path) is found

    monkeypatch.setattr(manifest, "_read_sums", lambda name: {"a.wav": sha256(ours)} if name == "tess" else {})
    found = corpus_forbidding_derivatives(ours, tmp_path / "elsewhere")  # renamed and moved, but its bytes
    assert found is not None and found.name == "tess"
    (tmp_path / "ravdess").mkdir()
    shutil.copy(tmp_path / "tess" / "deep" / "any name.wav", tmp_path / "ravdess")
    monkeypatch.setattr(manifest, "_read_sums", lambda name: {})
    assert corpus_forbidding_derivatives(tmp_path / "ravdess" / "any name.wav", tmp_path) is None


def test_licences_that_forbid_derivatives_are_marked() -> None:
    forbidding = {record.name for record in corpora.CORPORA if not record.derivatives_allowed}
    assert {"tess", "savee", "iemocap", "iemocap-excited"} <= forbidding
    assert not {"planted", "emodb", "ravdess", "crema_d", "nemo"} & forbidding
    assert all(record.name in forbidding for record in CORPORA if "ND" in record.licence.split("-"))


# ---------------------------------------------------------------- real data


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "origin", "clips"),
    [("emodb", "original", 342), ("ravdess", "derived", 720), ("tess", "original", 560), ("nemo", "derived", 658)],
)
def test_the_real_copies_are_in_order(name: str, origin: str, clips: int, data_root: Path) -> None:
    result = verify_corpus(CORPORA.get(name), data_root)
    assert result.ok and (result.origin, result.clips[0], result.confirmed) == (origin, clips, clips)
    same = {f.file for f in result.findings if f.kind == "same sound"}
    assert same == ({"Actor_07/03-01-03-01-02-02-07.wav"} if name == "ravdess" else set())


@pytest.mark.real_data
def test_a_real_tess_clip_is_recognised_wherever_it_lies(data_root: Path, tmp_path: Path) -> None:
    clip = sorted((data_root / "tess").rglob("*.wav"))[17]
    shutil.copy(clip, tmp_path / "mine.wav")
    for path in (clip, tmp_path / "mine.wav"):
        found = corpus_forbidding_derivatives(path, data_root)
        assert found is not None and found.name == "tess"
    assert corpus_forbidding_derivatives(data_root / "emodb" / "wav" / "03a01Fa.wav", data_root) is None
