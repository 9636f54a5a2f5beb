"""Which books a query lists, in which order: one ranking, and what of it goes onto the page; makes no books.

A page holds the best of what its list now holds and was not on a page before. So nothing comes twice and
nothing is passed over, whatever readers, the catalogue or another replica's clock did between two pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.answers import Query
from service.domain.catalogue import Catalogue
from service.domain.histories import History
from service.domain.model import RankingSettings
from service.domain.ranking import Ground, Ranking, Scratch, Wishes, rank
from service.domain.ranking.diversity import POOL, diversified
from service.domain.shelves import Shelves

DEEPEST_PLACE = 1000  # how far an answer can be paged through
# Places that are looked through for enough different authors.
_LOOKED_THROUGH = 2 * DEEPEST_PLACE

_NEIGHBOURS_ALONE = RankingSettings()
_NONE = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page: places of a ranking, in the order in which they are shown."""

    ranking: Ranking
    page: list[int]
    more: bool  # whether there are places behind these

    @property
    def learned(self) -> int:
        """How many of the page follow from the history; they come first."""
        return sum(place < self.ranking.learned for place in self.page)


def session(positions: NDArray[np.int32]) -> History:
    """Return the history of somebody of whom only these books are known, as if they had read them.

    A book that is named twice was read where it is named last.
    """
    _, from_the_end = np.unique(positions[::-1], return_index=True)
    positions = positions[np.sort(len(positions) - 1 - from_the_end)]
    yes = np.ones(len(positions), dtype=np.bool_)
    return History(positions, np.ones(len(positions), dtype=np.float32), yes, ~yes)


def listing(
    query: Query, history: History, shelves: Shelves, scratch: Scratch, *, with_reasons: bool = True
) -> Listing:
    """List books; raise InvalidInput for categories that the catalogue does not have."""
    catalogue, ground = shelves.catalogue, shelves.ground
    wanted = min(query.places + 1, DEEPEST_PLACE - len(query.shown))  # one more tells whether there is more
    looked_through = len(query.shown) + wanted
    if query.diversity:
        looked_through = max(looked_through, POOL)
    if query.most_per_author:
        looked_through = max(looked_through, _LOOKED_THROUGH)
    excluded = catalogue.positions(query.exclude_book_ids) if query.exclude_book_ids else _NONE
    if query.recent_book_ids:
        # What a session is at is not offered, not even with include_read.
        excluded = np.append(excluded, history.positions)
    ranking = rank(
        scratch,
        ground,
        shelves.model.ranking if shelves.model else _NEIGHBOURS_ALONE,
        history,
        Wishes(
            catalogue.clauses(query.categories, every=query.every_category, languages=query.languages),
            excluded,
            shelves.popular(query.categories),
            max(looked_through, 0),
            query.include_read,
            query.any_edition,
            query.any_volume,
        ),
        with_reasons=with_reasons,
    )
    order: Iterable[int] = range(len(ranking.positions))
    if query.diversity:
        order = diversified(ranking, query.diversity, scratch, ground)
    if query.shown or query.most_per_author:
        picked = _picked(query, ranking, order, catalogue, ground, wanted)
    else:
        picked = list(order)[:wanted]
    return Listing(ranking, picked[: query.places], more=len(picked) > query.places)


def neighbours(
    history: History, categories: Sequence[str], places: int, shelves: Shelves, scratch: Scratch
) -> Listing:
    """List what a history's books are neighbours of, and nothing else; raise InvalidInput as `listing`."""
    wishes = Wishes(shelves.catalogue.clauses(categories), _NONE, _NONE, places, any_volume=True)
    ranking = rank(scratch, shelves.ground, _NEIGHBOURS_ALONE, history, wishes)
    return Listing(ranking, list(range(len(ranking.positions))), more=False)


def _picked(
    query: Query, ranking: Ranking, order: Iterable[int], catalogue: Catalogue, ground: Ground, wanted: int
) -> list[int]:
    """Return the first places that were not shown, and that what was shown leaves room for."""
    shown = catalogue.positions(query.shown).tolist()
    seen, most = set(shown), query.most_per_author
    works = set() if query.any_edition else {int(ground.work_of[position]) for position in shown} - {-1}
    books_of: dict[str, int] = {}
    for position in shown:
        _count_authors(catalogue, position, books_of)
    picked: list[int] = []
    for place in order:
        if len(picked) >= wanted:
            break
        position = ranking.positions[place]
        if position in seen or (works and int(ground.work_of[position]) in works):
            continue
        if most:
            book = catalogue.at(position)
            if book and any(books_of.get(author, 0) >= most for author in book.authors):
                continue
            _count_authors(catalogue, position, books_of)
        picked.append(place)
    return picked


def _count_authors(catalogue: Catalogue, position: int, books_of: dict[str, int]) -> None:
    if book := catalogue.at(position):
        for author in book.authors:
            books_of[author] = books_of.get(author, 0) + 1
