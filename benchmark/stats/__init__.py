"""Cluster-robust statistics."""
