"""Where the figure is."""

from comics_genai import world


def test_the_figure_mask_holds_the_figure_and_not_the_sky():
    scene = world.reference_scenes(world.UNICORN_GIRL)[0]
    mask = world.figure_mask(scene)
    assert mask.shape == (128, 128) and 0.2 < mask.mean() < 0.5
    head, chest = (128 * world.joints(scene)[world.JOINTS.index(name)] for name in ("head", "neck"))
    assert mask[int(head[1]), int(head[0])] and mask[int(chest[1]), int(chest[0])]
    assert not mask[:6].any() and not mask[:, :6].any()
