"""Evaluation sets that must not be in a corpus."""
