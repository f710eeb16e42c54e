"""What score rows and stored explanations say: rankings, gaps, agreement, plausibility."""
