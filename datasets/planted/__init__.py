"""Planted corpora: synthetic speech with known emotional cues at known places."""
