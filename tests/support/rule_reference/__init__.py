"""Exit rules judged twice: by a slow evaluator written from docs/rules.md, and by the engine."""
