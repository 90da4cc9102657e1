"""What makes the files that `clean` reads: classifiers, n-gram models, thresholds, evaluation indexes."""
