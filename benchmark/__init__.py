"""The top floor: plan, runner, store, statistics, leaderboard, figures and the command line."""
