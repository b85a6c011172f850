"""Recipes: one a file, each a function whose keyword arguments are its flags."""
