"""The miniature's own tokenizer."""

import pytest

from comics_genai import world
from comics_genai.pretrain import dataset, tokenizer


def test_her_name_is_no_word_of_the_tokenizer_yet_it_can_be_read(words):
    pieces = words.tokenize(world.TOKEN)
    assert len(pieces) > 2 and "".join(pieces) == "unicorngirl</w>"
    assert not any("unicorn" in piece for piece in words.get_vocab())
    assert words.unk_token_id not in words(world.TOKEN).input_ids[1:-1]


@pytest.mark.parametrize("text", ["façade", "漢字", "🙂 ok", "a_b-c: 12.5%", "\x01"])
def test_any_text_can_be_read_and_written_back(words, text):
    ids = words(text).input_ids
    assert (ids[0], ids[-1]) == (words.bos_token_id, words.eos_token_id)
    assert words.decode(ids[1:-1]).replace(" ", "") == text.replace(" ", "")


def test_the_longest_captions_fit_into_77_tokens(tmp_path):
    words = tokenizer.train_tokenizer([text for v in dataset.captions(range(400)) for text in v], tmp_path)
    longest = sorted({world.caption(world.sample_scene(seed)) for seed in range(3000)}, key=len)[-100:]
    assert max(len(ids) for ids in words(longest).input_ids) <= tokenizer.MAX_LENGTH
    assert tokenizer.encode(words, longest).shape == (100, 77)
