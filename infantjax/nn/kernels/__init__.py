"""Operations in the form that XLA compiles to fast programs on each backend; layers are built from them.

Each module holds one kind of operation. A form that differs from the plain one says what was measured for it; the
measurements are repeated by `benchmarks/lowering.py`, `benchmarks/stack_training.py` and
`benchmarks/ensemble_inference.py`.
"""
