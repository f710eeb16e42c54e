"""Templates of the packages that ``serxai new`` writes."""
