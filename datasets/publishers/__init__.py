"""Published corpora, one declarative module each."""
