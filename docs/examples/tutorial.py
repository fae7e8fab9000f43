# %% [markdown]
# # Tutorial: two real models
#
# SmolLM2-135M-Instruct drafts for Gemma-3-270M. Their vocabularies have 49,152 and 262,144 tokens; the
# strings in them do not even use the same alphabet. Both models come as packages (`make install`), so this notebook
# needs no network. It takes about a minute.
#
# This pair is here to show that the text is right. It is not fast: its draft costs nearly as much.

# %%
import anydraft
from anydraft.loading.folders import load_model, load_tokenizer, packaged

big, small = packaged("gemma3"), packaged("smollm2")
target_tokenizer, draft_tokenizer = load_tokenizer(big), load_tokenizer(small)

# %% [markdown]
# ## 1. The tokenizers
#
# Before any weights are read: what do they share, and what on the text that you have in mind?

# %%
from anydraft.doctor import Subject, examine

code = "def area(radius):\n        if radius < 0:\n            return 0\n        return 3.14 * radius ** 2\n"
report = examine(Subject.open(big, name="gemma3"), Subject.open(small, name="smollm2"), {"code": code})
use = report.total
print(use.target_tokens, "target tokens,", use.draft_tokens, "draft tokens")
print(f"of the target's tokens the draft has {use.target_share:.0%}, the other way {use.draft_share:.0%}")
print(report.verdict.line)

# %% [markdown]
# What is in the way is white space. One family writes seven spaces and leaves the eighth to the next word:

# %%
bridge = anydraft.Bridge(target_tokenizer, draft_tokenizer)
line = b":\n        return n"
print([bridge.target.bytes(i) for i in bridge.target.encode(line)])
print([bridge.draft.bytes(i) for i in bridge.draft.encode(line)])

# %% [markdown]
# ## 2. The models
#
# Joining them takes a second; loading takes longer.

# %%
target, draft = load_model(big), load_model(small)
pair = anydraft.Speculator(
    target, draft, target_tokenizer, draft_tokenizer, method="slem", num_draft_tokens=4
)
out = pair.generate("The capital of France is", max_new_tokens=16)
print(out.text)

# %% [markdown]
# ## 3. Is it the target's own text?
#
# At temperature 0, token for token. transformers' own `generate` knows nothing of drafts:

# %%
import torch

alone = target.generate(torch.tensor([out.prompt_ids]), max_new_tokens=16, do_sample=False)
print(out.token_ids == alone[0, len(out.prompt_ids) :].tolist())

# %% [markdown]
# ## 4. Round by round
#
# An event is one round: some accepted tokens, then one of the target's own.

# %%
stream = pair.stream("1, 2, 3, 4, 5,", max_new_tokens=16)
for event in stream:
    print(f"{event.accepted} accepted, then {event.source}: {event.text!r}")
print(f"{stream.stats.tokens} tokens in {stream.stats.target_passes} passes of the target")

# %% [markdown]
# ## 5. Sampling
#
# `slem` accepts a token as often as the target would draw it. `slrs` compares laws, which accepts more when
# sampling. Both emit the target's law; with a method and a number of draft tokens given, a seed repeats it.

# %%
sampler = anydraft.Speculator(
    target, draft, target_tokenizer, draft_tokenizer, method="slrs", num_draft_tokens=4, bridge=pair.bridge
)
texts = [
    sampler.generate("Once upon a time", temperature=0.8, seed=7, max_new_tokens=12).text for _ in range(2)
]
print(texts[0] == texts[1])

# %% [markdown]
# ## 6. Where to go from here
#
# [Which method?](methods.md) says when `slrs` is ahead; [How lossless is proved](lossless.md) has the proof of
# section 3; [Loops of your own](loops.md) has streams, servers and chats.
