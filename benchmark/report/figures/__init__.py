"""Drawing modules, one a family of figures."""
