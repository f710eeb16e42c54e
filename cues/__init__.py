"""Acoustic cues of a clip (Praat) and the sourced table of what emotions are expected to do to them.

Modules: `records` (names, units), `tracks` (cues over time, once a clip), `regions` (cue values of any part of a clip),
`windows` (which 150 ms windows an explanation points at), `expert` (the literature, source by source).
"""
