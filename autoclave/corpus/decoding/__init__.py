"""Compressed bytes undone piece by piece: what a call gives is bounded, whatever the bytes claim."""
