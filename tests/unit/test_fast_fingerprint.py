"""What a fingerprint sees of a change that PyTorch does not count, and what it cannot."""

from __future__ import annotations

import pytest
import torch

from anydraft.models.fast.fingerprint import Fingerprint

SHAPES = [(64, 100), (100, 64), (300, 17), (17, 300), (4, 2000), (2000, 4), (128, 128)]


def matrix(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(shape).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_row_and_every_column_is_seen(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = matrix(shape, dtype)
    mark = Fingerprint([weight])
    version = weight._version
    assert mark.holds()
    for dim, size in enumerate(shape):
        for i in range(size):
            line = weight.data.select(dim, i)
            before = line.clone()
            line += 1
            assert not mark.holds(), (dim, i)
            line.copy_(before)
            assert mark.holds()
    assert weight._version == version


def test_a_matrix_that_does_not_lie_row_by_row() -> None:
    weight = torch.nn.Parameter(torch.randn(90, 70).T)
    mark = Fingerprint([weight])
    for i in range(70):
        weight.data[i] += 1
        assert not mark.holds()
        weight.data[i] -= 1
        mark = Fingerprint([weight])
    part = torch.randn(3, 200, 200)[1, 50:150, 100:]  # in the middle of a larger one
    mark = Fingerprint([part])
    part[7] += 1
    assert not mark.holds()


def test_experts_in_one_tensor() -> None:
    weight = matrix((8, 40, 30))
    mark = Fingerprint([weight])
    for i in range(8):
        weight.data[i] += 1
        assert not mark.holds()
        mark = Fingerprint([weight])


@pytest.mark.parametrize("shape", [(5000,), (60, 60), ()])
def test_of_what_is_small_every_number_is_seen(shape: tuple[int, ...]) -> None:
    weight = matrix(shape)
    mark = Fingerprint([weight])
    for i in range(weight.numel()):
        weight.data.view(-1)[i] += 1
        assert not mark.holds()
        weight.data.view(-1)[i] -= 1
        mark = Fingerprint([weight])


def test_what_pytorch_counts_is_seen_to_the_last_number() -> None:
    weight = matrix((500, 400))
    mark = Fingerprint([weight])
    with torch.no_grad():
        weight[3, 5] += 1
    assert not mark.holds()


def test_a_single_number_of_a_large_matrix_may_be_missed() -> None:
    """The limit that the documentation names, for which there is ``refresh``."""
    weight = matrix((500, 400))
    missed = 0
    for i in range(500):
        mark = Fingerprint([weight])
        weight.data[i, (7 * i) % 400] += 1
        missed += mark.holds()
    assert 480 < missed < 500


def test_other_storage_and_other_forms() -> None:
    weight = matrix((100, 80))
    mark = Fingerprint([weight])
    weight.data = weight.data.clone()
    assert not mark.holds()
    mark = Fingerprint([weight])
    weight.data = weight.data.bfloat16()
    assert not mark.holds()
    mark = Fingerprint([weight])
    weight.data = weight.data.T
    assert not mark.holds()


def test_what_is_no_number_equals_itself() -> None:
    weight = matrix((100, 80))
    weight.data.fill_(float("nan"))
    assert Fingerprint([weight, torch.full((3,), float("nan"))]).holds()
    assert Fingerprint([]).holds()
    assert Fingerprint([torch.empty(0, 5), torch.empty(5, 0)]).holds()
    with torch.inference_mode():
        weight = torch.randn(100, 80)
    assert Fingerprint([weight]).holds()
