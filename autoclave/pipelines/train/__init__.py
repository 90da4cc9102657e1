"""The training stage, in one process or many."""
