"""What tests of loading share: what versions can read, and in what two models have to agree."""

from __future__ import annotations

import pytest
import torch
import transformers

VERSION_5 = int(transformers.__version__.partition(".")[0]) >= 5
needs_5 = pytest.mark.skipif(not VERSION_5, reason="transformers 4 reads GGUF tokenizers wrongly")


def weights(model):
    return dict(model.state_dict())


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
