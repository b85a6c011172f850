"""The mode lab."""
