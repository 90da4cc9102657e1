"""What the published filters count: lines, words of lists, repetition, characters."""
