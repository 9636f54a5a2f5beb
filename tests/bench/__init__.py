"""How fast the whole service is beside a handler of constant bytes: `make bench`; no part of the tests.

README.md in this folder says what is measured and why in this way.
"""
