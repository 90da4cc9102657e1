"""Memory and machine words: what all other kernels load, store and compare with."""
