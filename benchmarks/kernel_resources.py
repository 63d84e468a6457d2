"""Compile the kernels for GPUs that are not there: ``python -m benchmarks.kernel_resources``.

Prints what each needs of a GPU: registers of a thread, shared memory of a block, and what did not
fit into registers (spills).
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.report import table
from segheads.layers import triton_class_map
from segheads.losses import triton_cross_entropy

CAPABILITIES = (80, 90)
LOGITS = ('fp32', 'bf16', 'fp16')
NUM_CLASSES = (2, 150)
DISASSEMBLER = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin' / 'cuobjdump'
POINTERS = dict(
    labels='*i64',
    correct='*i1',
    classes_of_pixels='*i64',
    row_cell='*i32',
    column_cell='*i32',
    row_start='*i32',
    column_start='*i32',
    row_count='*i32',
    column_count='*i32',
)
NUMBERS = ('num_classes', 'height', 'width', 'image_height', 'image_width')


def kernels(num_classes: int) -> Iterator[tuple[triton.JITFunction, dict[str, int], int]]:
    """List the kernels, with their constants and numbers of warps.

    Args:
        num_classes (int): Number of classes, by which the blocks are chosen.
    """
    block = triton_cross_entropy.class_block(num_classes)
    for module, kernel, shape in (
        (triton_cross_entropy, triton_cross_entropy.compare_pixels, 'PIXELS'),
        (triton_cross_entropy, triton_cross_entropy.gather_gradient, 'CELLS'),
        (triton_class_map, triton_class_map.find_highest, 'PIXELS'),
    ):
        threads = getattr(module, shape)
        constants = {f'BLOCK_{shape}': threads, 'BLOCK_CLASSES': block}
        yield kernel, constants, threads // module.THREADS_PER_WARP


def resources(
    kernel: triton.JITFunction, constants: dict[str, int], warps: int, logits: str, capability: int
) -> dict[str, int]:
    """Compile a kernel and ask for its resources.

    Args:
        kernel (triton.JITFunction): The kernel.
        constants (dict[str, int]): Its constants.
        warps (int): Number of warps of a block.
        logits (str): Triton's name of the data type of logits and gradient.
        capability (int): Compute capability of the GPU, times 10.

    Returns:
        dict[str, int]: 'registers' of a thread, 'spilled' bytes of a thread, 'shared' bytes of a
        block.
    """
    signature = {
        name: 'constexpr'
        if name in constants
        else 'i32'
        if name in NUMBERS
        else f'*{logits}'
        if name in ('logits', 'gradient')
        else POINTERS.get(name, '*fp32')
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(
        source, target=GPUTarget('cuda', capability, 32), options=dict(num_warps=warps)
    )
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(compiled.asm['cubin'])
        file.flush()
        report = subprocess.run(
            [DISASSEMBLER, '-res-usage', file.name], capture_output=True, text=True, check=True
        ).stdout
    registers, stack = re.search(r'REG:(\d+) STACK:(\d+)', report).groups()
    return dict(registers=int(registers), spilled=int(stack), shared=int(compiled.metadata.shared))


def measure() -> list[dict]:
    """Compile every kernel for every capability and data type."""
    return [
        dict(
            kernel=kernel.fn.__name__,
            classes=num_classes,
            logits=logits,
            capability=capability / 10,
            **resources(kernel, constants, warps, logits, capability),
        )
        for num_classes in NUM_CLASSES
        for kernel, constants, warps in kernels(num_classes)
        for logits in LOGITS
        for capability in CAPABILITIES
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    argparse.ArgumentParser(description='Resources of the kernels').parse_args(arguments)
    rows = measure()
    print(table(tuple(rows[0]), (tuple(row.values()) for row in rows)))


if __name__ == '__main__':
    main()
