"""Analyses of score rows and stored explanations: leaderboard, method comparison, agreement, plausibility."""
