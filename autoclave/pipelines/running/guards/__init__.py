"""What keeps a run from harm: limits, the search for a document at fault, losses that are said, a run's identity."""
