"""The hot loops: Lightning Attention and friends, text statistics and MinHash."""
