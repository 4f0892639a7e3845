from comics_genai import world
from comics_genai.evaluation.copy_paste import copy_paste, other_drawings
from comics_genai.evaluation.metrics import other_pose_scenes


def test_true_drawings_of_the_prompt_are_not_pasted_and_training_drawings_are():
    references = [world.draw(scene, 64) for scene in world.reference_scenes(world.UNICORN_GIRL)]
    scenes = other_pose_scenes(world.UNICORN_GIRL, 4, seed=8)
    true = [world.draw(scene, 64) for scene in scenes]
    assert not copy_paste(true, scenes, references).any()
    assert copy_paste([references[2], true[1], references[0], references[5]], scenes, references).tolist() == [
        True, False, True, True]  # fmt: skip


def test_other_drawings_keep_what_the_prompt_says():
    scene = other_pose_scenes(world.UNICORN_GIRL, 1)[0]
    first, second = other_drawings(scene, 2, 64)
    assert first.tobytes() != second.tobytes() != world.draw(scene, 64).tobytes()
    assert other_drawings(scene, 1, 64)[0].tobytes() == first.tobytes()
