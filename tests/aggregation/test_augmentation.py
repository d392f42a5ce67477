"""Test-time augmentation: rotation against scipy's own, distances against scipy's, weights by the formula."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import distance as spatial
from scipy.stats import entropy

from fi_workbench.aggregation.apply import components_of, finish, local_part, total
from fi_workbench.aggregation.augmentation import LOG_WEIGHT, angles, instability, rotated
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidQuery

RNG = np.random.default_rng(4)
IMAGES = ndimage.gaussian_filter(RNG.normal(size=(5, 1, 12, 12)), (0, 0, 1, 1)).astype(np.float32)
WEIGHTS = RNG.normal(size=(2, 144, 6))


def model(k):
    return lambda images: images.reshape(len(images), -1) @ WEIGHTS[k]


def view(k, queries=IMAGES):
    return LocalView(model(k)(queries), queries=queries, predict=model(k))


def part(rule, k=0, **options):
    return local_part(rules[rule], view(k), options)


@pytest.mark.parametrize("degrees", [-30.0, 4.0, 90.0])
def test_rotation_is_scipys_for_every_image(degrees):
    expected = ndimage.rotate(IMAGES, degrees, axes=(-1, -2), reshape=False, order=1, mode="nearest")
    other = ndimage.rotate(IMAGES, -degrees, axes=(-1, -2), reshape=False, order=1, mode="nearest")
    turned = rotated(IMAGES, degrees)
    assert min(np.abs(turned - expected).max(), np.abs(turned - other).max()) < 1e-4
    assert turned.dtype == np.float32


def test_rotation_moves_no_image_into_another_and_keeps_the_background():
    images = np.stack([np.full((6, 6), value) for value in (-1.0, 0.0, 7.0)])
    np.testing.assert_allclose(rotated(images, 17.0), images, atol=1e-5)
    np.testing.assert_allclose(rotated(IMAGES, 0.0), IMAGES, atol=1e-6)
    colour = np.repeat(IMAGES, 3, axis=1)
    np.testing.assert_allclose(rotated(colour, 5.0), np.repeat(rotated(IMAGES, 5.0), 3, axis=1))


def test_tta_soft_is_the_mean_over_rotations_then_parties():
    turned = [rotated(IMAGES, angle) for angle in angles(3, 9.0, 1)]
    expected = np.mean([[softmax(model(k)(images)) for images in turned] for k in (0, 1)], axis=(0, 1))
    parts = [part("tta_soft", k, n_rotations=3, degrees=9.0, seed=1) for k in (0, 1)]
    np.testing.assert_allclose(finish(rules["tta_soft"], {}, sums=total(parts)), expected, rtol=1e-6)


def test_angles_depend_on_the_seed_alone_and_stay_in_range():
    np.testing.assert_array_equal(angles(5, 5.0, 3), angles(5, 5.0, 3))
    assert (angles(5, 5.0, 3) != angles(5, 5.0, 4)).all()
    many = angles(1000, 5.0, 0)
    assert many.min() < -4.5 < 4.5 < many.max() <= 5.0


@pytest.mark.parametrize("distance", ["l2", "cosine", "kl", "js"])
def test_instability_by_scipys_distances(distance):
    before, after = RNG.normal(size=(2, 4, 8))
    found = instability(before, after, distance)
    for n in range(4):
        top = np.argsort(-before[n])[:5]
        old, new = before[n, top] - before[n, top].mean(), after[n, top] - after[n, top].mean()
        expected = {
            "l2": spatial.euclidean(old, new),
            "cosine": spatial.cosine(old, new),
            "kl": entropy(softmax(old), softmax(new)),
            "js": spatial.jensenshannon(softmax(old), softmax(new)) ** 2,
        }[distance]
        assert found[n] == pytest.approx(expected)
    np.testing.assert_allclose(instability(before, before, distance), 0, atol=1e-12)
    np.testing.assert_allclose(instability(np.zeros((1, 3)), np.zeros((1, 3)), distance), 0)


@pytest.mark.parametrize(("sign", "factor"), [("reference", 1), ("corrected", -1)])
def test_weights_are_exponentials_of_mean_instability(sign, factor):
    turned = [rotated(IMAGES, angle) for angle in angles(2, 5.0, 0)]
    moved = np.mean([instability(model(0)(IMAGES), model(0)(images), "js") for images in turned], axis=0)
    found = part("tta_instability", n_rotations=2, distance="js", sign=sign, gamma=2.0)
    np.testing.assert_allclose(found["weight"], np.exp(factor * 2.0 * moved))
    np.testing.assert_allclose(found["weighted"], found["weight"][:, None] * softmax(model(0)(IMAGES)))


def test_the_reference_counts_the_unsteady_party_for_more_and_the_corrected_sign_for_less():
    steady = LocalView(np.tile([2.0, 0.0], (5, 1)), queries=IMAGES, predict=lambda x: np.tile([2.0, 0.0], (len(x), 1)))
    shaky = LocalView(np.tile([0.0, 2.0], (5, 1)), queries=IMAGES, predict=lambda x: np.tile([1.0, 0.0], (len(x), 1)))
    rule, scores = rules["tta_instability"], {}
    for sign in ("reference", "corrected"):
        scores[sign] = finish(
            rule, {"sign": sign}, sums=total(local_part(rule, one, {"sign": sign}) for one in (steady, shaky))
        )
    assert (scores["reference"].argmax(axis=1) == 1).all()
    assert (scores["corrected"].argmax(axis=1) == 0).all()
    assert "exp(+gamma i)" in rule.explanation
    assert "exp(-gamma i)" in rule.explanation


@pytest.mark.parametrize("sign", ["reference", "corrected"])
def test_weights_stay_within_their_declared_bounds_however_far_a_model_jumps(sign):
    jumping = LocalView(np.eye(6)[:5] * 1e4, queries=IMAGES, predict=lambda x: -1e4 * np.eye(6)[: len(x)])
    found = local_part(rules["tta_instability"], jumping, {"sign": sign})
    declared = components_of(rules["tta_instability"], 6, "keep", {"sign": sign})
    np.testing.assert_allclose(np.abs(np.log(found["weight"])), LOG_WEIGHT)
    for name, component in declared.items():
        assert component.lower <= found[name].min() <= found[name].max() <= component.upper


@pytest.mark.parametrize("rule", ["tta_soft", "tta_instability"])
def test_what_is_no_image_is_refused_by_name(rule):
    rows = RNG.normal(size=(5, 144))
    with pytest.raises(InvalidQuery, match=r"\(5, 144\); rotation needs images"):
        local_part(rules[rule], view(0, rows), {})
    with pytest.raises(DoesNotFit, match=f"'{rule}' asks each party's model again"):
        local_part(rules[rule], LocalView(np.zeros((5, 6))), {})


def test_a_model_that_answers_garbage_the_second_time_is_refused():
    bad = LocalView(np.zeros((5, 6)), queries=IMAGES, predict=lambda x: np.full((len(x), 6), np.nan))
    with pytest.raises(InvalidAnswer, match="asked again"):
        local_part(rules["tta_soft"], bad, {})
