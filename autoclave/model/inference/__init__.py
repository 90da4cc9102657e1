"""What a trained model answers: scores, likelihoods, texts."""
