"""A shop that is exchanged, arranged anew or cut off from the others while it answers."""

import threading

import pytest

from service.domain.answers import Query, Strategy
from service.domain.catalogue import Catalogue
from service.domain.histories import EventPages, Histories
from service.domain.interactions import InteractionType
from service.domain.popularity import EVER, Popularity, PopularityPages
from service.domain.recommender import Recommender
from tests.domain.shop import book, did, log_of, model_of

BOOKS = [book(number) for number in range(1, 7)]
MODEL = model_of({1: {2: 0.5, 3: 0.25}, 2: {3: 1.0}, 9: {1: 0.125}, 3: {9: 2.0}}, [1, 2, 3, 4, 5, 6, 9])
SEVENS = Query(reader_id=7, places=10)


def parts(books, *interactions):
    """Make what `use_shop` takes."""
    catalogue, log = Catalogue(books), log_of(*interactions).by_time()
    positions = catalogue.positions_of_array(log.book_ids)
    return (
        catalogue,
        Histories(EventPages.of(log, positions)),
        Popularity(PopularityPages.of(log, positions, len(catalogue))),
    )


def ids(answer):
    return [each.book.id for each in answer.suggestions]


@pytest.mark.parametrize("adopt", [False, True], ids=["use_shop", "adopt"])
def test_another_shop_answers_as_if_it_had_been_there_from_the_start(adopt):
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL, kept_answers=10)
    live.recommend(SEVENS)
    live.learn([did(8, 2)])
    # The same book stands at another position there.
    books, events = [book(9), *BOOKS[1:]], (did(7, 2), did(9, 5), did(7, 4, at=1))
    if adopt:
        live.adopt(Recommender.of(books, log_of(*events)))
    else:
        live.use_shop(*parts(books, *events))
    fresh = Recommender.of(books, log_of(*events), MODEL)
    for query in (SEVENS, Query(reader_id=8), Query(recent_book_ids=(3,))):
        assert live.recommend(query) == fresh.recommend(query)
    assert live.popular("", 9) == fresh.popular("", 9)
    assert (live.reader_count, live.model) == (2, MODEL)
    live.learn([did(7, 3, at=2)])
    assert ids(live.recommend(SEVENS))[0] == 9


def test_every_answer_is_from_one_shop_while_they_are_exchanged():
    # In each shop the reader has done what leads to the other books of that shop alone, and positions of the
    # one mean other books in the other, or none.
    low = [book(number) for number in range(1, 40)]
    high = [book(number) for number in range(1000, 1100)]
    model = model_of(
        {1: dict.fromkeys(range(2, 40), 1.0), 1099: dict.fromkeys(range(1000, 1099), 1.0)},
        [*range(1, 40), *range(1000, 1100)],
    )
    live = Recommender.of(low, log_of(did(7, 1)), model, kept_answers=10)
    shops = [(low, did(7, 1)), (high, did(7, 1099))]
    expected = [Recommender.of(books, log_of(event), model).recommend(SEVENS) for books, event in shops]
    done, mixed = threading.Event(), []

    def ask():
        while not done.is_set():
            answer = live.recommend(SEVENS)
            if answer not in expected:
                mixed.append(answer)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(150):
        books, event = shops[(turn + 1) % 2]
        live.use_shop(*parts(books, event))
    done.set()
    for thread in threads:
        thread.join(timeout=10)
    assert mixed == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_book_that_the_model_knew_before_the_catalogue_joins_in():
    live = Recommender.of(BOOKS, log_of(did(7, 3)), MODEL)
    live.upsert_books([book(50), book(9)])
    fresh = Recommender.of([*BOOKS, book(50), book(9)], log_of(did(7, 3)), MODEL)
    assert live.recommend(SEVENS) == fresh.recommend(SEVENS)
    assert ids(live.recommend(SEVENS))[0] == 9
    assert ids(live.similar(9, (), 5))[0] == 1


def test_new_books_one_by_one_leave_every_answer_right():
    live = Recommender.of(BOOKS, log_of(did(7, 1), did(8, 4)), MODEL)
    for number in range(100, 140):
        live.upsert_books([book(number, "travel")])
        assert ids(live.recommend(Query(reader_id=7, places=3))) == [2, 3, 4]
    assert ids(live.recommend(Query(categories=("travel",), places=100))) == list(range(100, 140))


class _Interrupted(Popularity):
    """Changes the shop once while it is being counted."""

    change = None

    def counts(self, position_count, span=EVER):
        change, self.change = self.change, None
        if change:
            change()
        return super().counts(position_count, span)


def test_a_change_while_the_shop_is_arranged_anew_is_not_lost():
    log = log_of(did(7, 1))
    popularity = _Interrupted(PopularityPages.of(log, log.book_ids.astype("int32") - 1, len(BOOKS)))
    catalogue, histories, _ = parts(BOOKS, did(7, 1))
    live = Recommender(catalogue, histories, popularity, MODEL)
    popularity.change = lambda: live.upsert_books([book(60, "travel")])
    live.refresh_popularity()
    assert ids(live.recommend(Query(categories=("travel",)))) == [60]


def test_changes_without_end_do_not_keep_a_refresh_from_ending():
    log = log_of(did(7, 1))
    popularity = _Interrupted(PopularityPages.of(log, log.book_ids.astype("int32") - 1, len(BOOKS)))
    catalogue, histories, _ = parts(BOOKS, did(7, 1))
    live = Recommender(catalogue, histories, popularity)
    attempts = 0

    def again():
        nonlocal attempts
        attempts += 1
        # Only while nobody holds the lock: under it nobody could.
        if not live._lock.locked():
            live.upsert_books([book(100 + attempts)])
            popularity.change = again

    popularity.change = again
    live.refresh_popularity()
    assert 1 < attempts < 10
    assert live.catalogue.book_count == len(BOOKS) + attempts - 1


def test_cut_off_from_the_database_personal_answers_say_so():
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL)
    live.stale = True
    stale = live.recommend(SEVENS)
    assert stale.strategy is Strategy.STALE
    assert live.recommend(Query(reader_id=404)).strategy is Strategy.POPULAR
    assert live.recommend(Query(recent_book_ids=(1,))).strategy is Strategy.SESSION
    live.stale = False
    assert live.recommend(SEVENS) == stale._replace(strategy=Strategy.PERSONAL)


def test_no_kept_answer_tells_of_an_earlier_state_of_the_database():
    live = Recommender.of(BOOKS, log_of(did(7, 1)), MODEL, kept_answers=10)
    told = []
    for stale in (False, True, True, False, True):
        live.stale = stale
        told.append(live.recommend(SEVENS))
    assert [answer.strategy is Strategy.STALE for answer in told] == [False, True, True, False, True]
    assert told[1] is told[2]


def test_without_a_model_answers_are_degraded_also_when_cut_off():
    live = Recommender.of(BOOKS, log_of(did(7, 1)))
    live.stale = True
    assert live.recommend(SEVENS).strategy is Strategy.DEGRADED


@pytest.mark.parametrize("kind", list(InteractionType))
def test_a_replaced_reader_is_the_same_as_one_who_only_did_that(kind):
    rating = 4 if kind is InteractionType.RATING else None
    live = Recommender.of(BOOKS, log_of(did(7, 1), did(7, 2, at=1)), MODEL, kept_answers=10)
    live.recommend(SEVENS)
    live.replace_reader(7, log_of(did(7, 1, kind, rating=rating)))
    fresh = Recommender.of(BOOKS, log_of(did(7, 1, kind, rating=rating)), MODEL)
    mine, theirs = live.recommend(SEVENS), fresh.recommend(SEVENS)
    assert (mine.strategy, mine.filled) == (theirs.strategy, theirs.filled)
    learned = len(mine.suggestions) - mine.filled
    assert mine.suggestions[:learned] == theirs.suggestions[:learned]
