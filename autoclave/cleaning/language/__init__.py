"""Which language a text, a line or a word is in, and what a word is there."""
