"""One small file per console script: its settings, and what it prints."""
