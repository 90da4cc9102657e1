"""The self-cleaning stage: models that score the corpus they were trained on, and what is dropped by it."""
