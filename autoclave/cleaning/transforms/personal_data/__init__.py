"""Personal data and secrets: found in the buffers, checked, replaced by the name of their kind."""
