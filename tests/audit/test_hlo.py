import math

import jax
import jax.numpy as jnp

from tljax.audit.hlo import collective_bytes, launches, product_flops

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


LOOP = """
%body (p: (f32[4], s32[])) -> (f32[4], s32[]) {
  %p = (f32[4]{0}, s32[]) parameter(0)
  %g = f32[4]{0} get-tuple-element(%p), index=0
  %f = f32[4]{0} fusion(%g), kind=kLoop, calls=%fused
  %c = f32[4]{0} custom-call(%f), custom_call_target="__cublas$gemm"
  ROOT %t = (f32[4]{0}, s32[]) tuple(%c)
}

%test (p: (f32[4], s32[])) -> pred[] {
  ROOT %l = pred[] compare(%a, %b), direction=LT
}

%fused (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %m = f32[4]{0} multiply(%x, %x)
  ROOT %n = f32[4]{0} negate(%m)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %z = f32[4]{0} copy(%x)
  %b = f32[4]{0} bitcast(%z)
  %s = f32[4]{0} all-reduce-start(%b), to_apply=%sum
  %d = f32[4]{0} all-reduce-done(%s)
  ROOT %w = (f32[4]{0}, s32[]) while(%t), condition=%test, body=%body, \
backend_config={"known_trip_count":{"n":"7"}}
}
"""


def test_launches_are_counted_inside_loops_and_not_inside_fusions():
    """A copy and a collective; seven times a fusion, a library's product and the comparison."""
    assert launches(LOOP) == 2 + 7 * 3
    assert launches(LOOP.replace("known_trip_count", "unknown")) == 2 + 3


def test_launches_of_a_compiled_scan_are_those_of_its_steps():
    def one(x):
        return jnp.sin(x @ x) @ x

    def scanned(x):
        return jax.lax.scan(lambda x, _: (one(x), None), x, length=9)[0]

    x = jnp.ones((64, 64))
    step, scan = (launches(jax.jit(f).lower(x).compile().as_text()) for f in (one, scanned))
    assert step >= 2
    assert 9 * step < scan <= 9 * (step + 4) + 4  # the counter, and copies of what is carried
