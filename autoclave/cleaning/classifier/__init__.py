"""Quality classifiers, and how a classifier is judged."""
