"""Recipes of adversarial games."""
