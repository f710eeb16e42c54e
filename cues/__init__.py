"""Acoustic cues of a clip (Praat, librosa; openSMILE as an extra) and the literature's table of cue directions.

Modules: `records` (names, units), `frames`, `tracks` and `spectral` (frame-wise tracks, computed once per clip),
`regions` and `fine` (cue values of any region of a clip), `backends` (Praat, openSMILE, Beyond Saliency's recipe),
`normalise` (z-scores relative to the speaker), `windows` (salient time windows of an explanation), `neutral` (windows
of the speaker's neutral clips), `expert` (expected directions, by source).
"""
