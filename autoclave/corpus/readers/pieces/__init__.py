"""Parts of large files: where they begin and end, and reading them so that together they are the whole."""
