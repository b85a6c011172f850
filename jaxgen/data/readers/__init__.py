"""Readers: files, builders and generators of data, one format a file."""
