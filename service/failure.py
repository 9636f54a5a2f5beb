"""The one exception that is meant for an operator's eyes; anything may raise a kind of it."""


class Failure(Exception):
    """Something an operator can mend: one line naming what is wrong, where, and the rule or the way out."""
