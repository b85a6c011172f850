"""Training, and all that lives only as long as it."""
