"""Deduplication: exact, near-duplicate (MinHash and LSH), line level, substring."""
