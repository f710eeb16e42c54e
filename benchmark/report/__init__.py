"""Reports, boards and figures."""
