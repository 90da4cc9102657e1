"""What belongs to finding inputs: files left out and why, lists of paths, the account of it, large files in pieces."""
