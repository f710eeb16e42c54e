"""Committed results: records of runs, their checks, and the board and numbers rebuilt from them."""
