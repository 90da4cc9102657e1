"""What every stage runs on: recipes, engines, tasks, commits, accounting."""
