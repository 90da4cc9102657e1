"""What makes a document worth keeping."""
