"""Text statistics and signatures on the CPU: numba kernels over Arrow UTF-8 buffers."""
