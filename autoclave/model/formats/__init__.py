"""Weights on disk, ours and others'."""
