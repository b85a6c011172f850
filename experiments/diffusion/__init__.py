"""Recipes of denoisers and their chains."""
