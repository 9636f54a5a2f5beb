"""The Recommendations service: which books should this reader see next?"""
