"""Drawing modules, one per family of figures."""
