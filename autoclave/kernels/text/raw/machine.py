"""Machine operations that numba has no name for: unaligned loads and stores, wide products, trailing zeros."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _multiply_fold(typingctx: Any, left: Any, right: Any) -> Any:
    """Low half XOR high half of the 128-bit product of two uint64: numba has no 128-bit integers of its own."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


def _loader(bits: int) -> Any:
    def load(typingctx: Any, buffer: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.gep(array.data, [arguments[1]])
            pointer = builder.bitcast(address, ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.uint64(buffer, types.int64), codegen

    return load


read64: Any = intrinsic(_loader(64))
"""read64(buffer, index): the uint64 at any byte of a uint8 array, little-endian."""
read32: Any = intrinsic(_loader(32))


def _write64(typingctx: Any, buffer: Any, index: Any, value: Any) -> Any:
    """Store a uint64 at any byte of a uint8 array (little-endian machines: its low byte first)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(buffer, types.int64, types.uint64), codegen


def _trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Number of zero bits below the lowest set one of a uint64; 64 for zero."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


multiply_fold: Any = intrinsic(_multiply_fold)
"""multiply_fold(left, right): low half XOR high half of the 128-bit product of two uint64."""

write64: Any = intrinsic(_write64)
"""write64(buffer, index, value): store a uint64 at any byte of a uint8 array, its low byte first."""

trailing_zeros: Any = intrinsic(_trailing_zeros)
"""trailing_zeros(value): number of zero bits below the lowest set one of a uint64; 64 for zero."""
