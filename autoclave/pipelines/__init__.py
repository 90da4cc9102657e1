"""Stages, recipes and engines: how the parts run over a thousand shards."""
