"""Files out of real databases, and in again."""
