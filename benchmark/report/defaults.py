"""Defaults of reports that the command line tells; imports nothing."""

EXAMPLE_CLIPS = 4  # of each corpus and recogniser: one of each of four emotions
