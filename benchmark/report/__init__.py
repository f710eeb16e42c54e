"""Leaderboard files, HTML pages and figures."""
