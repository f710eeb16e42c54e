"""The page of a run, or of a board of runs: a start view with facets, and everything behind it."""
