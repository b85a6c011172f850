"""Recipes of variational autoencoders, and of the plain one."""
