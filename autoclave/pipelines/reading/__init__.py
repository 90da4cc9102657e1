"""What looks at a finished run: samples, stories, histograms, the report, deciding again."""
