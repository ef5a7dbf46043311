"""What the compilers of accelerators say: kernels and bytes of a program, and what to install."""

import jax
import numpy as np
import pytest
from jax import lax

from benchmarks import common, compile_targets
from benchmarks.compile_targets import kernels_of
from infantjax.nn.kernels.convolution import temporal_convolution

HLO = """HloModule jit_f, entry_computation_layout={(f32[4,8]{1,0})->f32[4]{0}}

%body (p: (s32[], bf16[10])) -> (s32[], bf16[10]) {
  %p = (s32[], bf16[10]{0}) parameter(0)
  %a = bf16[10]{0:T(256)} get-tuple-element(%p), index=1
  %twice = bf16[10]{0} fusion(%a, %a), kind=kLoop, calls=%f
  ROOT %t = (s32[], bf16[10]{0}) tuple(%i, %twice)
}

ENTRY %main (x: f32[4,8]) -> f32[4] {
  %x = f32[4,8]{1,0:T(8,128)} parameter(0)
  %pair = (f32[4]{0}, pred[3]{0}) fusion(f32[4,8]{1,0} %x), kind=kInput, calls=%g
  %w = (s32[], bf16[10]{0}) while(%t), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %sum = f32[4]{0} all-reduce-start(%one), to_apply=%add
  ROOT %done = f32[4]{0} all-reduce-done(%sum)
}
"""


def test_bytes_of_a_program_are_those_of_its_operands_and_results():
    found = kernels_of(HLO)
    assert [(kernel.name, kernel.bytes) for kernel in found] == [
        ("pair", 128 + 16 + 3),
        *[("twice", 3 * 20)] * 3,  # a loop that runs three times
        ("sum", 16),
    ]


def test_a_program_that_was_compiled_for_this_cpu_is_counted():
    @jax.jit
    def program(x, y):
        return lax.fori_loop(0, 5, lambda i, z: z @ y, x)

    x = np.ones((64, 64), np.float32)
    found = kernels_of(program.lower(x, x).compile().as_text())
    assert sum(kernel.bytes == 3 * x.nbytes for kernel in found) == 5


def test_missing_compilers_end_with_what_to_install(monkeypatch):
    monkeypatch.setattr(compile_targets, "is_installed", lambda package: False)
    with pytest.raises(SystemExit, match="compiler for v5e is missing; install"):
        compile_targets.main(compile_targets.Options(targets=("v5e",)))


def test_rows_of_another_version_of_the_compilers_are_not_kept(tmp_path):
    rows, where = [{"target": "v5e"}], {"versions": {"jaxlib": "1"}}
    assert compile_targets.earlier_rows(where, tmp_path) == []
    common.write("compile_targets", rows, {}, where, tmp_path)
    assert compile_targets.earlier_rows(where, tmp_path) == rows
    assert compile_targets.earlier_rows({"versions": {"jaxlib": "2"}}, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("target", compile_targets.TARGETS)
def test_a_compiler_that_is_installed_tells_kernels_bytes_and_memory(target, monkeypatch):
    if not compile_targets.is_installed(compile_targets.TARGETS[target].package):
        pytest.skip(compile_targets.MISSING.format(target))
    compile_targets.find_compiler(target)
    found = compile_targets.compiled(target, lambda w, x: x @ w, (jax.ShapeDtypeStruct((1, 64, 64), "float32"),) * 2)
    assert found["kernels"] >= 1
    assert found["moved_gb"] >= 3 * 64 * 64 * 4 / 1e9
    assert not found["collectives"]


@pytest.mark.slow
def test_a_pointwise_convolution_with_steps_is_compiled_for_a_gpu():
    if not compile_targets.is_installed(compile_targets.TARGETS["H100"].package):
        pytest.skip(compile_targets.MISSING.format("H100"))
    compile_targets.find_compiler("H100")
    x, channels = jax.ShapeDtypeStruct((7, 19, 4, 150, 16), "float32"), jax.ShapeDtypeStruct((7, 16), "float32")
    kernel = jax.ShapeDtypeStruct((7, 1, 16, 24), "float32")

    def normed(given):
        x, offset, kernel = given
        y = x + offset
        return temporal_convolution(y, kernel, stride=2), y

    assert compile_targets.compiled("H100", normed, ((x, channels, kernel),))["kernels"] >= 1
