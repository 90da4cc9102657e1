"""The hot loops: Lightning Attention, norms, cross-entropy, decoding (Triton and PyTorch), text statistics (Numba)."""
