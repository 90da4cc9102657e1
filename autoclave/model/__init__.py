"""TransNormerLLM: architecture, training, scoring, generation, checkpoints."""
