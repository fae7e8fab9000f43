"""Control tokens of two tokenizers, paired by role."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from anydraft.bridge.special_tokens import RolePairs, bridge_roles, control_tokens, end_ids, special_roles
from anydraft.errors import ArgumentError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def plain(*specials):
    """A ``tokenizers.Tokenizer`` whose control tokens come first, in this order, then all bytes."""
    alphabet = sorted(ByteLevel.alphabet())
    vocab = {name: i for i, name in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(BPE(vocab, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials])
    return tokenizer


def fast(*specials, template=None, **named):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain(*specials), **named)
    tokenizer.chat_template = template
    return tokenizer


def tiktoken_like(**specials):
    return SimpleNamespace(_special_tokens=specials, _mergeable_ranks={})


def instruct():
    """As SmolLM2-135M-Instruct."""
    return fast(
        "<|endoftext|>", "<|im_start|>", "<|im_end|>",
        bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>", template=CHATML,
    )  # fmt: skip


def base():
    """As the base Gemma-3: turn tokens are in the vocabulary, but nothing says that they are used."""
    return fast(
        "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>",
        bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
    )  # fmt: skip


def generation(*eos):
    return SimpleNamespace(eos_token_id=list(eos))


def test_roles_of_an_instruct_model():
    assert special_roles(instruct()) == {
        "bos": (1,),
        "eos": (0,),
        "start_of_turn": (1,),
        "end_of_turn": (2,),
        "pad": (),
        "unk": (0,),
    }


def test_a_base_models_unused_turn_token_ends_nothing():
    assert special_roles(base())["end_of_turn"] == ()
    assert special_roles(base())["eos"] == (1,)
    assert special_roles(base(), generation(1, 4))["end_of_turn"] == (4,)


def test_the_template_tells_an_unknown_name():
    tokenizer = fast(
        "<s>", "<done>", eos_token="<s>", template="{% for m in messages %}{{ m.content }}<done>{% endfor %}"
    )
    assert special_roles(tokenizer)["end_of_turn"] == (1,)
    assert special_roles(tokenizer)["eos"] == (0,)


def test_a_token_with_both_roles():
    tokenizer = fast(
        "<s>", "</s>", eos_token="</s>", template="{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    roles = special_roles(tokenizer)
    assert roles["eos"] == roles["end_of_turn"] == (1,)


def test_a_template_that_raises_is_no_template():
    tokenizer = fast("<s>", "</s>", eos_token="</s>", template="{{ raise_exception('no') }}")
    assert special_roles(tokenizer)["end_of_turn"] == ()


def test_a_plain_tokenizer_is_read_by_names():
    roles = special_roles(plain("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>"))
    assert (roles["eos"], roles["end_of_turn"], roles["bos"]) == ((0,), (2,), (3,))
    roles = special_roles(tiktoken_like(**{"<|endoftext|>": 50, "<|fim_prefix|>": 51}))
    assert (roles["eos"], roles["end_of_turn"]) == ((50,), ())


def test_nothing_known():
    assert set(special_roles(plain()).values()) == {()}
    assert bridge_roles(plain(), base()) == RolePairs()
    assert bridge_roles(base(), plain()) == RolePairs()


def test_control_tokens_are_only_the_special_ones():
    tokenizer = plain("<a>")
    tokenizer.add_tokens([AddedToken("<b>", special=False)])
    assert control_tokens(tokenizer) == {"<a>": 0}


@pytest.mark.parametrize(
    ("tokenizer", "configured", "expected"),
    [
        (base(), None, (1,)),
        (base(), generation(4, 1), (4, 1)),
        (base(), SimpleNamespace(eos_token_id=4), (4,)),
        (base(), SimpleNamespace(eos_token_id=None), (1,)),
        (instruct(), None, (2,)),
        (plain("<|im_end|>", "</s>"), None, (1,)),
        (plain("<|im_end|>"), None, (0,)),
        (plain("<other>"), None, ()),
    ],
)
def test_where_decoding_stops(tokenizer, configured, expected):
    assert end_ids(tokenizer, configured) == expected


def test_a_draft_that_can_end_two_ways_for_a_target_that_ends_one_way():
    pairs = bridge_roles(base(), instruct())
    assert dict(pairs.to_target) == {0: 1, 2: 1, 1: 3}
    assert dict(pairs.to_draft) == {1: 0, 3: 1}


def test_a_draft_that_ends_one_way_proposes_where_the_target_stops():
    pairs = bridge_roles(instruct(), base())
    assert dict(pairs.to_target) == {1: 2, 3: 1}
    assert dict(pairs.to_draft) == {0: 1, 2: 1, 1: 3}


def test_both_sides_with_both_roles_pair_role_by_role():
    target = fast("<|end_of_text|>", "<|eot_id|>", eos_token="<|eot_id|>")
    draft = instruct()
    pairs = bridge_roles(target, draft, generation(1, 0))
    assert dict(pairs.to_target) == {0: 0, 2: 1}
    assert dict(pairs.to_draft) == {0: 0, 1: 2}


def test_one_token_for_both_roles_proposes_the_first_stop():
    target = instruct()
    draft = fast(
        "<s>", "</s>", eos_token="</s>", template="{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    assert dict(bridge_roles(target, draft, generation(2, 0)).to_target)[1] == 2
    assert dict(bridge_roles(draft, target).to_draft)[1] == 2


def test_equal_contents_come_first_and_are_not_listed():
    left = fast("<|endoftext|>", "<|im_end|>", eos_token="<|im_end|>")
    right = fast("<other>", "<|im_end|>", "<|endoftext|>", eos_token="<|endoftext|>")
    pairs = bridge_roles(left, right, generation(1, 0), generation(2, 1))
    assert pairs == RolePairs()


def test_equal_contents_yield_where_the_target_would_not_stop():
    """The draft's <|endoftext|> is a token of the target too, but the target ends with <|im_end|>."""
    draft = fast("<a>", "<|endoftext|>", eos_token="<|endoftext|>")
    pairs = bridge_roles(instruct(), draft)
    assert dict(pairs.to_target) == {1: 2}
    assert dict(pairs.to_draft) == {2: 1}


def test_every_end_of_the_draft_proposes_a_stop_of_the_target():
    sides = [
        instruct(),
        base(),
        plain("<|endoftext|>", "<|im_end|>"),
        plain("<s>", "</s>"),
        fast("</s>", eos_token="</s>"),
    ]
    for target in sides:
        for draft in sides:
            roles = special_roles(draft)
            names, partners = control_tokens(target), control_tokens(draft)
            table = {i: names[c] for c, i in partners.items() if c in names} | dict(
                bridge_roles(target, draft).to_target
            )
            stops = {*end_ids(target), *special_roles(target)["end_of_turn"]}
            assert all(table[i] in stops for i in roles["eos"] + roles["end_of_turn"])


@pytest.mark.real
def test_the_real_pair():
    from anydraft.loading.folders import load_tokenizer, packaged

    smollm2, gemma3 = load_tokenizer(packaged("smollm2")), load_tokenizer(packaged("gemma3"))
    assert dict(bridge_roles(gemma3, smollm2).to_target) == {0: 1, 2: 1, 1: 105}
    assert dict(bridge_roles(smollm2, gemma3).to_target) == {1: 2, 105: 1}
    assert dict(bridge_roles(gemma3, smollm2).to_draft) == {1: 0, 105: 1}
    assert dict(bridge_roles(smollm2, gemma3).to_draft) == {0: 1, 1: 105, 2: 1}


def test_end_ids_of_any_library():
    for configured in (np.int64(5), np.array([5]), torch.tensor(5), torch.tensor([5]), [np.int64(5)]):
        found = end_ids(None, SimpleNamespace(eos_token_id=configured))
        assert found == (5,)
        assert type(found[0]) is int
    for wrong in ("</s>", [None], 2.5):
        with pytest.raises(ArgumentError, match="expected whole numbers, or None where there is none"):
            end_ids(None, SimpleNamespace(eos_token_id=wrong))
