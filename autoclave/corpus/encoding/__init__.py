"""Character encodings: their labels and decoders, and the evidence for one in the characters that it gives."""
