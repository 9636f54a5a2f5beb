"""What interactions weigh, as a shop sets it: the same to training, to evaluation and to serving."""

import json
from dataclasses import asdict

import numpy as np
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.domain.interactions import IS_READ_TYPE, InteractionWeights
from service.domain.recommender import Recommender
from service.storage import Database
from tests.system.processes import run_here
from tests.world import settings_for

SET = {
    "view_weight": 1.0,
    "wishlist_weight": 0.1,
    "purchase_weight": 0.3,
    "preference_half_life_days": 20.0,
}


def command(shop, certificates, *arguments, **weights):
    environment = settings_for(shop, certificates, **weights).describe()
    result = run_here(*arguments, settings=environment, cwd=shop.directory)
    assert result.returncode == 0, result.stderr
    return result


def test_what_is_learned_judged_and_served_weighs_interactions_alike(shop, certificates, start):
    by_defaults = shop.models.load()
    command(shop, certificates, "train", **SET)
    learned = shop.models.load()
    manifest = shop.models.manifest(learned.version)
    assert manifest["settings"]["weights"] == asdict(InteractionWeights(1.0, 0.1, 0.3, 20.0))
    assert manifest["data_digest"] == shop.models.manifest(by_defaults.version)["data_digest"]
    assert not np.array_equal(learned.popularity, by_defaults.popularity)
    assert not np.array_equal(learned.weights, by_defaults.weights)

    # The file says that readers want the very books that the service shows them: the ranking that is judged
    # finds all, in order, if it is the one that is served.
    stub = start(shop, **SET).client.recommendations
    with Database.open(shop.url) as database:
        log = database.interactions()
    file = shop.directory / "wanted.txt"
    lines = []
    for reader_id in np.unique(log.reader_ids)[:100].tolist():
        # Evaluation leaves out what was only looked at or wished for, serving does not.
        looked = np.unique(log.book_ids[(log.reader_ids == reader_id) & ~IS_READ_TYPE[log.types]])
        request = pb.RecommendRequest(reader_id=reader_id, page_size=20, exclude_book_ids=looked.tolist())
        shown = [each.book_id for each in stub.Recommend(request).books]
        assert len(shown) == 20
        lines.append(" ".join(str(number - 1) for number in (reader_id, *shown)))  # ids less 1
    file.write_text("\n".join(lines) + "\n")
    asked = ("evaluate", "--test", str(file), "--format", "lightgcn", "--json")
    judged = command(shop, certificates, *asked, **SET)
    figures = json.loads(judged.stdout)[1]
    assert (figures["reader_count"], figures["recall@20"]) == (100, 1.0)
    assert "other weights" not in judged.stderr

    judged = command(shop, certificates, *asked)
    assert json.loads(judged.stdout)[1]["recall@20"] < 0.99
    assert f"model {learned.version} learned by other weights of interactions than are set" in judged.stderr


def test_all_that_train_ranks_with_before_it_publishes_weighs_as_set(shop, certificates, monkeypatch):
    made, used = Recommender.of, []

    def of(*arguments, **options):
        used.append(options.get("weights"))
        return made(*arguments, **options)

    monkeypatch.setattr(Recommender, "of", of)
    command(shop, certificates, "train", **SET)
    # Popularity and the model on the holdout, and what the gate would show.
    assert used == [InteractionWeights(1.0, 0.1, 0.3, 20.0)] * 3
