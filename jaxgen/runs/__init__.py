"""A run folder on disk: its records, its checkpoints, and what is loaded from them."""
