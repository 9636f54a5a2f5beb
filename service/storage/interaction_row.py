"""An interaction as imports and exports pass it, with all of its columns; knows no database."""

# interaction_id, reader_id, book_id, type, rating, occurred_at (microseconds since 1970), recommendation_id
InteractionRow = tuple[str, int, int, int, float | None, int, str]

COLUMNS = "interaction_id, reader_id, book_id, type, rating, occurred_at, recommendation_id"
