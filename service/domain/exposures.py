"""What was shown; knows neither to whom nor how it was chosen."""

from typing import NamedTuple


class Exposure(NamedTuple):
    """One answer as it was shown; interactions that came of it name its recommendation_id."""

    recommendation_id: str
    shown_at: int  # microseconds since 1970 UTC
    strategy: str
    model_version: str  # empty where there was none
    book_ids: tuple[int, ...]
