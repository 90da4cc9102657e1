"""N-gram language models: estimating them, reading and writing ARPA, scoring documents, CCNet's buckets."""
