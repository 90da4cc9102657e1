"""The hot loops: Lightning Attention, norms, linear cross-entropy and decode steps (Triton and PyTorch), text statistics (CPU)."""
