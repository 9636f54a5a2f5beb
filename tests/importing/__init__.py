"""Files in, on real files and a real database."""
