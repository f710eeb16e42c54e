"""Parts of the plane add up to the clip, lie where they say, and carry their weights unchanged onto the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serxai.audio import SAMPLE_RATE, Plane, fill_spectrum, scoring_grid
from serxai.datasets.clip import Clip, Word
from serxai.errors import InputError, NotApplicable
from serxai.methods.partitions import band_edges, count_parts, make_partition, parsed

TEXTS = [
    "mel:8",
    "hz:8",
    "bark:8",
    "octave:8",
    "mel:1",
    "mel:10",
    "windows:0.2",
    "words",
    "energy:8",
    "nmf:8",
    "mel:4 x windows:0.3",
    "words x bark:3",
    "octave:2 x energy:3",
    "phones",
]
WORDS = (Word("one", 0.1, 0.3), Word("two", 0.3, 0.302), Word("three", 0.4, 0.7))
PHONES = (Word("w", 0.1, 0.15), Word("V", 0.15, 0.2), Word("n", 0.2, 0.3), Word("f", 0.4, 0.7))


@pytest.fixture
def spoken(voice):
    clip = voice(3, 0.8)
    return Clip("spoken", clip.samples, words=WORDS, phones=PHONES)


def fill_for(plane, name="noise"):
    return fill_spectrum(name, plane, np.random.default_rng(0))


@pytest.mark.parametrize("n_samples", [12_800, 12_799, 9_985])
@pytest.mark.parametrize("text", TEXTS)
def test_parts_add_up_to_the_clip(text, n_samples, spoken):
    """Replaced by nothing at all, the parts are the clip's own signals; the all-kept mask returns the input itself."""
    clip = Clip("cut", spoken.samples[:n_samples], words=WORDS, phones=PHONES)
    plane = Plane(clip.samples)
    partition = make_partition(text, clip, plane)
    silence = torch.zeros_like(plane.spectrum)
    parts = -partition.differences(plane, silence)
    assert parts.shape == (len(partition), n_samples)
    assert float((parts.sum(dim=0) - plane.samples).abs().max()) < 1e-5
    changes = partition.differences(plane, fill_for(plane))
    removed = plane.samples + changes.sum(dim=0)
    assert float((removed - plane.istft(fill_for(plane))).abs().max()) < 1e-5
    assert torch.equal(plane.samples + torch.zeros(len(partition)) @ changes, plane.samples)


@pytest.mark.parametrize("text", TEXTS)
def test_counted_as_made_and_weights_keep_their_sum(text, spoken):
    plane = Plane(spoken.samples)
    partition = make_partition(text, spoken, plane)
    assert count_parts(text, spoken.samples.size, spoken) == len(partition) == len(partition.names)
    weights = np.random.default_rng(0).standard_normal(len(partition))
    values = partition.spread(weights, plane)
    assert values.shape == partition.grid.shape
    assert values.sum() == pytest.approx(weights.sum(), abs=1e-9)


@pytest.mark.parametrize("n_samples", [1, 200, 512, 1000])
@pytest.mark.parametrize("text", [text for text in TEXTS if "words" not in text and text != "phones"])
def test_tiny_and_silent_clips_have_parts(text, n_samples):
    clip = Clip("silence", np.zeros(n_samples, dtype=np.float32))
    plane = Plane(clip.samples)
    partition = make_partition(text, clip, plane)
    assert count_parts(text, n_samples) == len(partition) >= 1
    assert float(partition.differences(plane, torch.zeros_like(plane.spectrum)).abs().max()) == 0
    assert partition.spread(np.ones(len(partition)), plane).sum() == pytest.approx(len(partition))


def test_band_edges():
    np.testing.assert_allclose(band_edges("mel", 8), [0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000], atol=0.6)
    assert band_edges("hz", 8).tolist() == [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]
    assert band_edges("octave", 5).tolist() == [0, 500, 1000, 2000, 4000, 8000]
    edges = band_edges("bark", 7)
    bark = 26.81 * edges / (1960 + edges) - 0.53  # Traunmüller 1990
    np.testing.assert_allclose(np.diff(bark), np.diff(bark)[0], atol=1e-9)
    assert (edges[0], edges[-1]) == (0, 8000)


@pytest.mark.parametrize("text", ["octave:10", "mel:129", "hz:300", "bark:257"])
def test_bands_narrower_than_a_bin_are_refused(text):
    with pytest.raises(InputError, match="narrower than an STFT bin"):
        count_parts(text, 16_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mel",
        "mel:0",
        "mel:-1",
        "mel:2.5",
        "mel:x",
        "mel:nan",
        "mel:inf",
        "words:3",
        "phones:2",
        "windows",
        "windows:0",
        "nmf:8 x mel:2",
        "mel:2 x hz:2",
        "mel:2 x mel:2",
        "words x windows:1",
        "phonemes",
        "mel:8 x",
    ],
)
def test_unknown_partitions_are_refused(text):
    with pytest.raises(InputError, match="is not known; take bands"):
        parsed(text)


def test_words_and_pauses(spoken):
    """The word of 2 ms joins the next stretch: nothing is shorter than a frame step."""
    partition = make_partition("words", spoken, Plane(spoken.samples))
    assert partition.names == ("(pause)", "one", "(pause)", "three", "(pause)")
    np.testing.assert_allclose(partition.grid.time_edges_s, [0, 0.1, 0.3, 0.4, 0.7, 0.8])
    assert partition.grid.freq_edges_hz.tolist() == [0, 8000]
    with pytest.raises(NotApplicable, match="no alignment"):
        make_partition("words", Clip("mute", spoken.samples), Plane(spoken.samples))
    assert make_partition("phones", spoken, Plane(spoken.samples)).names[:4] == ("(pause)", "w", "V", "n")
    with pytest.raises(NotApplicable, match="no alignment into phones"):
        make_partition("phones", Clip("said", spoken.samples, words=WORDS), Plane(spoken.samples))


def test_patches_are_named_row_by_row(spoken):
    plane = Plane(spoken.samples)
    partition = make_partition("hz:2 x windows:0.4", spoken, plane)
    assert partition.names == (
        "0-4000 Hz, 0.00-0.40 s",
        "0-4000 Hz, 0.40-0.80 s",
        "4000-8000 Hz, 0.00-0.40 s",
        "4000-8000 Hz, 0.40-0.80 s",
    )
    assert partition.spread(np.arange(4), plane).tolist() == [[0, 1], [2, 3]]


def test_energy_cuts_where_it_is_quiet():
    """Three bursts at uneven times: each lies in a stretch of its own."""
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    bursts = [0.12, 0.47, 0.9]
    envelope = sum(np.exp(-(((t - at) / 0.03) ** 2)) for at in bursts)
    clip = Clip("bursts", (0.3 * envelope * np.sin(2 * np.pi * 500 * t)).astype(np.float32))
    edges = make_partition("energy:3", clip, Plane(clip.samples)).grid.time_edges_s
    assert np.searchsorted(edges, bursts).tolist() == [1, 2, 3]
    for cut in edges[1:-1]:
        assert min(abs(cut - at) for at in bursts) > 0.08


def test_nmf_parts_follow_their_sources():
    """Two tones with their own rhythm: two components, each holding one tone; the same every time."""
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low = np.sin(2 * np.pi * 500 * t) * (np.sin(2 * np.pi * 3 * t) > 0)
    high = 0.5 * np.sin(2 * np.pi * 3000 * t) * (np.sin(2 * np.pi * 5 * t) > 0)
    clip = Clip("tones", (0.2 * (low + high)).astype(np.float32))
    plane = Plane(clip.samples)
    partition = make_partition("nmf:2", clip, plane)
    parts = -partition.differences(plane, torch.zeros_like(plane.spectrum)).numpy()
    for part, tone in zip(parts, (low, high), strict=True):
        assert np.corrcoef(part, tone)[0, 1] > 0.98
    again = make_partition("nmf:2", clip, Plane(clip.samples))
    assert torch.equal(partition.soft, again.soft) and partition.names == again.names
    assert partition.grid == scoring_grid(1.0)
    values = partition.spread(np.array([1.0, 0.0]), plane)
    row = partition.grid.rows_of(np.array([500.0]))[0]
    assert values[row].sum() > 0.9
    torch.testing.assert_close(partition.soft.sum(dim=0), torch.ones(257, plane.spectrum.shape[1]))
