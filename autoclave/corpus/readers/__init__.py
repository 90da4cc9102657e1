"""Readers: one module a format, each yielding bounded Arrow batches of raw records (`raw.RAW_SCHEMA`)."""
