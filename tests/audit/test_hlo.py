import math

import pytest

from tljax.audit.hlo import collective_bytes, product_flops, valid_taps

DOT = """
  %x = f32[4,8]{1,0} parameter(0)
  %w = f32[8,10]{1,0} parameter(1)
  ROOT %y = f32[4,10]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
"""
# 3 x 3 over an image of 2 x 2: along each axis 4 of the 6 taps fall on it.
CONVOLUTION = """
  %x = f32[5,2,2,3]{3,2,1,0} parameter(0)
  %k = f32[3,3,3,4]{3,2,1,0} parameter(1)
  %y = f32[5,2,2,4]{3,2,1,0} convolution(%x, %k), window={size=3x3 pad=1_1x1_1}, \
dim_labels=b01f_01io->b01f
"""
SENT = """
  %a = (f32[64]{0}, f32[]) all-reduce(%g, %l), replica_groups={}, to_apply=%sum
  %b = bf16[8]{0} all-reduce-start(%h), to_apply=%sum
  %c = bf16[8]{0} all-reduce-done(%b)
  %d = (f32[2,2]{1,0}, f32[16,2]{1,0}) all-gather-start(%i), dimensions={0}
  %e = f32[16,2]{1,0} all-gather-done(%d)
"""


def test_products_are_counted_without_padding():
    assert product_flops(DOT) == 2 * 4 * 10 * 8
    assert product_flops(CONVOLUTION) == 2 * 5 * (4 * 4) * 3 * 4
    assert product_flops(DOT + CONVOLUTION) == 640 + 1920
    assert product_flops("  %y = f32[4] add(%a, %b)") == 0


def test_a_librarys_product_is_unknown():
    assert math.isnan(
        product_flops(DOT + '  %z = f32[4] custom-call(%y), custom_call_target="__cublas$gemm"')
    )


def test_bytes_are_those_of_the_results_by_kind():
    assert collective_bytes(SENT) == {"all-reduce": 4 * 65 + 2 * 8, "all-gather": 4 * 32}
    assert collective_bytes(DOT) == {}


@pytest.mark.parametrize(
    ("size", "window", "taps"),
    [
        (2, {"out": 2, "taps": 3, "before": 1}, 4),
        (5, {"out": 3, "taps": 3, "before": 0}, 9),
        (5, {"out": 3, "taps": 3, "before": 1, "stride": 2}, 7),
        (3, {"out": 5, "taps": 1, "before": 0, "spread": 2}, 3),
        (5, {"out": 1, "taps": 3, "before": 0, "gap": 2}, 3),
    ],
)
def test_taps_on_real_inputs(size, window, taps):
    assert valid_taps(size, **window) == taps
