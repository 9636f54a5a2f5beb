"""Which books belong together, as arrays: editions of a work, volumes of a series; knows no reader."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.traits import Traits


class Groups(NamedTuple):
    """Groups of two positions or more: a book is in one of them at most."""

    group_of: NDArray[np.int32]  # [positions], -1 for those that are in none
    starts: NDArray[np.int64]  # [groups + 1], where each begins in `members`
    members: NDArray[np.int32]  # positions, group by group
    volumes: NDArray[np.float32]  # of each member; ascending in a group

    @classmethod
    def of(cls, keys: NDArray, volumes: NDArray[np.float32]) -> "Groups":
        """Group positions by their key, 0: none, and order each group by these numbers."""
        members = np.flatnonzero(keys)
        members = members[np.lexsort((volumes[members], keys[members]))]
        own = keys[members]
        _, sizes = np.unique(own, return_counts=True)
        members = members[np.repeat(sizes > 1, sizes)]
        sizes = sizes[sizes > 1]
        group_of = np.full(len(keys), -1, dtype=np.int32)
        group_of[members] = np.repeat(np.arange(len(sizes)), sizes)
        starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
        return cls(group_of, starts, members.astype(np.int32), volumes[members])


def editions(traits: Traits) -> Groups:
    """Group the editions of each work."""
    return Groups.of(traits.works, np.zeros(len(traits.works), dtype=np.float32))


def series(traits: Traits) -> Groups:
    """Group the volumes of each series in order; those whose number is not known are left out."""
    return Groups.of(np.where(traits.volumes > 0, traits.series, 0), traits.volumes)
