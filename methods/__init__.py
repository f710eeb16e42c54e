"""Explanation methods: (recogniser, clip, target class) to signed relevance over the time-frequency plane."""
