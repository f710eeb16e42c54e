"""Run configurations by name, one TOML file each."""
