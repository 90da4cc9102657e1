"""Hashes and signatures: what deduplication and decontamination compare."""
