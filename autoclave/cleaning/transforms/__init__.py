"""Edits of the text before it is judged."""
