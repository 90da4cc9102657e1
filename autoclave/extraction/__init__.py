"""From the characters of a page to its main text: a flat tree, blocks scored by a small model, Markdown."""
