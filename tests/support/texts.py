"""Texts and bytes that are hard on a tokenizer, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

FRAGMENTS = [
    *(" ", "  ", "    ", "\t", "\t\t", "\n", "\n\n", "\n\n\n\n", "\r\n", "\r", " \n", "\n ", "\v\f"),
    *("\x00", "\x7f"),
    *("\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u2028", "\u0085", "\u00ad"),
    *("7", "12", "123", "1234", "12345678", "3.14159e-10", "1,000,000", "٣", "½", "Ⅷ", "²", "10%", "$5"),
    *("I'm", "it's", "they'll", "we've", "CAN'T", "'S", "'ll", "''", "d’", "’re", "o'clock", "'"),
    *("the", " the", "The", " quick", "hello", "HelloWorld", "snake_case", "naïve", "Straße", "ſ", "ǅ", "İ"),
    *("é", "e\u0301", "a\u0308\u0323", "\u0301", "ก็", "नमस्ते", "क्ष", "한국어", "\u1112\u1161\u11ab",),
    *("שָׁלוֹם", "مرحبا", "Привет", "Γειά"),
    *("世界", "你好,世界。", "東京タワー", "ひらがな", "ｶﾀｶﾅ", "㍿", "「引用」", "𠮷", "𝔘𝔫𝔦"),
    *("😀", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "👍🏽", "🇩🇪", "#\ufe0f\u20e3", "\U000e0041"),
    *("“ ”", "“", "”", "…", "—", "--", "!!!", "...", "?!",),
    *("://", "</", "{{", "}}", ");", "->", "=>", "!=", "$$", "\\n"),
    *("def f(x):\n    return x", "\n\t\tif (a && b) {\n", "for (int i=0;i<10;++i)",),
    *('<div class="a">', "# %%", "/*", "*/"),
    *("<s>", "</s>", "<unk>", "<bos>", "<eos>", "<pad>", "<0x0A>", "<0xFF>", "<unused7>",),
    *("[INST]", "[/INST]"),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>",),
    *("<start_of_turn>", "<end_of_turn>", "<｜User｜>", "<mask>", "<h1>"),
    *("<|fim_prefix|>", "<｜begin▁of▁sentence｜>", "<｜tool▁calls▁begin｜>",),
    *("<table>", "</table>", "[multimodal]"),
    *("Ċ", "Ġ", "Ġthe", "▁", "▁the", "▁▁", "\ufffd", "\ufffe", "\U0010ffff", "\ue000"),
]  # fmt: skip

runs = st.text(alphabet=" \n\r\taA1's.é世\u0301\u00a0/", max_size=30)
"""Few characters in many orders: runs of space, letters and digits that a later character changes."""

texts = st.one_of(
    runs,
    st.text(max_size=40),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3)), max_size=12).map("".join),
)
"""Any Unicode text, with hard ones often."""


@st.composite
def cut_texts(draw: st.DrawFn) -> bytes:
    """The bytes of a text, cut anywhere, often within a character."""
    data = draw(texts).encode()
    start = draw(st.integers(0, min(3, len(data))))
    return data[start : len(data) - draw(st.integers(0, min(3, len(data) - start)))]


data = st.one_of(texts.map(str.encode), cut_texts(), st.binary(max_size=8))
"""Any bytes: texts, texts cut within a character, and what is no text at all."""
