"""An answer's id tells what the answer was, to every replica and nobody else's."""

import pytest

from service.domain.answers import Strategy
from service.servicers.answer_ids import SIMILAR, AnswerIds, origin_of

VERSION = "20261124-120000-0a1b2c3d"


@pytest.mark.parametrize("strategy", [*Strategy, SIMILAR])
@pytest.mark.parametrize(("version", "digits"), [(VERSION, "0a1b2c3d"), ("", "")])
def test_an_id_tells_strategy_and_model(strategy, version, digits):
    name, _ = AnswerIds(0).issue(strategy, version)
    assert len(name) <= 64
    assert origin_of(name) == (strategy, digits)


@pytest.mark.parametrize(
    "name", ["", "a", "0123456789ab-1-", "0123456789ab-1-z", "0123456789ab-1-p0a1b2c3d\n"]
)
def test_other_ids_tell_nothing(name):
    assert origin_of(name) is None


def test_ids_are_never_the_same():
    names = [
        ids.issue(Strategy.PERSONAL, VERSION)[0] for ids in (AnswerIds(0), AnswerIds(0)) for _ in range(100)
    ]
    assert len(set(names)) == 200


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.25, 1.0])
def test_about_the_wanted_part_of_the_answers_is_sampled(ratio):
    ids = AnswerIds(ratio)
    sampled = sum(ids.issue(Strategy.PERSONAL, VERSION)[1] for _ in range(10_000))
    assert sampled == pytest.approx(10_000 * ratio, abs=100 if 0 < ratio < 1 else 0)
