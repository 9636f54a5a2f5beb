"""The schema's history, one script a step; knows nothing of the program that reads the tables."""
