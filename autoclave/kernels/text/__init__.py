"""Text statistics and signatures on the CPU: numba kernels over Arrow UTF-8 buffers. README.md has the picture."""
