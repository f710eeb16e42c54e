"""Benchmark runs: planning, execution, storage, statistics, analysis, reports and the command line."""
