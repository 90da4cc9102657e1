"""Numba kernels over the markup of a page: shorter pages, flat trees, blocks and their features, boosted trees."""
