"""The library: explaining sounds, running benchmarks, reading finished runs."""
