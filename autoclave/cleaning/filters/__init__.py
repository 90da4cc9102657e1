"""Filters: named decisions over signals, one family a file."""
