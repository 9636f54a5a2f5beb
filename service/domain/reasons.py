"""Makes what an answer says of its books: what speaks for each; knows not how they were chosen."""

import numpy as np

from service.domain.answers import Part, Suggestion
from service.domain.histories import History
from service.domain.listing import Listing
from service.domain.ranking import Ground, Scratch
from service.domain.ranking.parts import parts
from service.domain.shelves import Shelves

MOST_PARTS = 5  # of a score that are told: the others are small


def suggestions(listing: Listing, shelves: Shelves) -> list[Suggestion]:
    """Return the books of a page, each with the book that speaks for it most."""
    # Every ranked position has a book: a deleted one is in no category and so in no ranking. The book that
    # speaks for it may be gone.
    at, ranking = shelves.catalogue.at, listing.ranking
    found = []
    for place in listing.page:
        position = ranking.positions[place]
        book = at(position)
        assert book is not None
        if place >= ranking.learned:
            found.append(Suggestion(book, float(shelves.counts[position])))
            continue
        source = ranking.sources[place]
        because = at(source)
        because_id = because.id if because else int(shelves.catalogue.ids[source])
        title = because.title if because else ""
        found.append(Suggestion(book, ranking.scores[place], because_id, title, ranking.shares[place]))
    return found


def explained(
    found: list[Suggestion], listing: Listing, history: History, shelves: Shelves, scratch: Scratch
) -> list[Suggestion]:
    """Return the same suggestions with their reasons in full."""
    ranking, ground = listing.ranking, shelves.ground
    count = listing.learned
    chosen = np.array([ranking.positions[place] for place in listing.page], dtype=np.int32)
    sources, gains = parts(scratch, ground, history, chosen[:count])
    read = set(history.positions[history.read].tolist())
    told = []
    for column, suggestion in enumerate(found):
        volume = _volume_before(int(chosen[column]), ground, read)
        before = _part(volume, 0.0, shelves) if volume is not None else None
        largest: tuple[Part, ...] = ()
        if column < count and len(sources):
            order = np.argsort(-gains[:, column], kind="stable")[:MOST_PARTS]
            scale = suggestion.share / gains[order[0], column]
            largest = tuple(
                _part(int(sources[row]), float(gains[row, column] * scale), shelves)
                for row in order
                if gains[row, column] > 0
            )
        told.append(suggestion._replace(volume_before=before, parts=largest))
    return told


def _part(position: int, share: float, shelves: Shelves) -> Part:
    book = shelves.catalogue.at(position)
    return Part(int(shelves.catalogue.ids[position]), book.title if book else "", share)


def _volume_before(position: int, ground: Ground, read: set[int]) -> int | None:
    """Return the volume read before this one, where it is the next: all whole ones before it were read."""
    group = ground.series_of[position]
    if group < 0:
        return None
    span = slice(ground.series_starts[group], ground.series_starts[group + 1])
    volumes = dict(
        zip(ground.series_members[span].tolist(), ground.series_volumes[span].tolist(), strict=True)
    )
    earlier = {other: volume for other, volume in volumes.items() if volume < volumes[position]}
    known = {volume for other, volume in earlier.items() if other in read}
    if not known or any(volume.is_integer() and volume not in known for volume in earlier.values()):
        return None
    return max((other for other in earlier if other in read), key=lambda other: earlier[other])
