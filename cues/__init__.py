"""Acoustic cues of a clip (Praat, librosa; openSMILE as an extra) and the sourced table of what emotions do to them.

Modules: `records` (names, units), `tracks` and `fine` (cues over time, once a clip), `regions` (cue values of any part
of a clip), `backends` (who measures: Praat, openSMILE, the seed paper's recipe), `normalise` (values in units of a
speaker's voice), `windows` (which windows an explanation points at), `expert` (the literature, source by source).
"""
