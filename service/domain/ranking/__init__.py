"""Which books a history speaks for, in which order and why; knows no requests and does no I/O."""

from service.domain.ranking.ground import Ground, Rows
from service.domain.ranking.rank import Ranking, Wishes, rank
from service.domain.ranking.scratch import Scratch

__all__ = ["Ground", "Ranking", "Rows", "Scratch", "Wishes", "rank"]
