"""What a reader was shown; knows nothing of how it was chosen."""

from typing import NamedTuple


class Exposure(NamedTuple):
    """One answer as it was shown; interactions that came of it name its recommendation_id."""

    recommendation_id: str
    reader_id: int  # 0: an anonymous session
    shown_at: int  # microseconds since 1970 UTC
    strategy: str
    model_version: str  # empty where there was none
    book_ids: tuple[int, ...]
