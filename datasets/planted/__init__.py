"""The planted corpus: synthetic speech whose emotional cues are known."""
