"""Page tokens: what was issued is read, anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.servicers.pages import OutdatedPage, Pages

PAGES = Pages(b"k" * 32)


@given(st.lists(st.integers(1, 2**63 - 1), max_size=20), st.text(), st.text())
def test_a_token_brings_back_what_came_before(ids, query, basis):
    assert PAGES.read(PAGES.issue(ids, query, basis), query, basis) == tuple(ids)


def test_a_token_is_as_short_as_its_ids_allow():
    assert len(PAGES.issue([2**32 - 1] * 10, "query")) <= 100
    assert len(PAGES.issue(range(1, 1001), "query")) < 5500


@given(st.text())
def test_a_made_up_token_is_refused(token):
    with pytest.raises(InvalidInput, match="is not a token that this service issued"):
        PAGES.read(token, "query")


@given(st.integers(0, 36), st.integers(1, 255))
def test_a_changed_token_is_refused(place, change):
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    data = bytearray(urlsafe_b64decode(PAGES.issue([10], "query")))
    data[place] ^= change
    with pytest.raises(InvalidInput, match="is not a token that this service issued"):
        PAGES.read(urlsafe_b64encode(bytes(data)).decode(), "query")


def test_a_token_of_another_key_is_refused():
    with pytest.raises(InvalidInput, match="is not a token that this service issued"):
        Pages(b"o" * 32).read(PAGES.issue([10], "query"), "query")


def test_a_token_of_another_query_is_refused():
    with pytest.raises(InvalidInput, match="was issued for a request with other fields"):
        PAGES.read(PAGES.issue([10], "query"), "another")


def test_a_token_whose_list_is_gone_says_so():
    with pytest.raises(OutdatedPage):
        PAGES.read(PAGES.issue([10], "query", "model 1"), "query", "model 2")
