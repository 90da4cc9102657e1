"""Decisions of the self-cleaning loop: folds, strata, thresholds, the sample for people. No model in here."""
