"""Why there is nothing to learn from; knows neither commands nor status codes."""

from service.failure import Failure


class TrainingError(Failure):
    """One line that names the data or setting, its value and the rule."""
