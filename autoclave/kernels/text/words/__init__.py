"""Where words begin and end, in any script."""
