"""One declarative file for each published corpus."""
