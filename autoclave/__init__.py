"""Autoclave: raw crawl in, token shards out, cleaned by the model that trains on them."""

__version__ = "0.1.0"
