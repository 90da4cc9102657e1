"""The dedup stage: exact duplicates, near-duplicates, repeated lines and passages."""
