"""One way to write a small network for both runtimes: operators and a few functions on its values."""

import numpy as np


class TfOps:
    """Builds by being traced; a value is a tensor."""

    def __init__(self):
        import tensorflow as tf

        self._tf = tf

    def rmax(self, x, axes):
        return self._tf.reduce_max(x, axes)

    def rmin(self, x, axes):
        return self._tf.reduce_min(x, axes)

    def rsum(self, x, axes):
        return self._tf.reduce_sum(x, axes)

    def step(self, x):
        """1 where x > 0."""
        return self._tf.cast(x > 0, self._tf.float32)

    def relu(self, x):
        return self._tf.nn.relu(x)

    def abs(self, x):
        return self._tf.abs(x)

    def log(self, x):
        return self._tf.math.log(x)

    def floor(self, x):
        return self._tf.floor(x)

    def concat(self, values, axis):
        return self._tf.concat([self._tf.cast(v, self._tf.float32) for v in values], axis)

    def reshape(self, x, shape):
        return self._tf.reshape(x, shape)


class OnnxValue:
    """The name of something in an `OnnxOps` graph."""

    __array_ufunc__ = None  # numpy leaves its operators to these

    def __init__(self, ops, name):
        self.ops, self.name = ops, name

    def __add__(self, other):
        return self.ops.node("Add", self, other)

    def __radd__(self, other):
        return self.ops.node("Add", other, self)

    def __sub__(self, other):
        return self.ops.node("Sub", self, other)

    def __rsub__(self, other):
        return self.ops.node("Sub", other, self)

    def __mul__(self, other):
        return self.ops.node("Mul", self, other)

    def __rmul__(self, other):
        return self.ops.node("Mul", other, self)

    def __truediv__(self, other):
        return self.ops.node("Div", self, other)


class OnnxOps:
    """Collects nodes; `file` gives the network."""

    def __init__(self):
        import onnx

        self._onnx, self._nodes, self._constants = onnx, [], []

    def node(self, kind, *inputs, dtype=np.float32, **attributes):
        names = [
            value.name if isinstance(value, OnnxValue) else self._constant(value, dtype) for value in inputs
        ]
        return self._add(kind, names, attributes)

    def _add(self, kind, names, attributes):
        name = f"value{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, names, [name], **attributes))
        return OnnxValue(self, name)

    def _constant(self, value, dtype):
        name = f"constant{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def rmax(self, x, axes):
        return self.node("ReduceMax", x, axes=axes, keepdims=0)

    def rmin(self, x, axes):
        return self.node("ReduceMin", x, axes=axes, keepdims=0)

    def rsum(self, x, axes):
        return self._add("ReduceSum", [x.name, self._constant(axes, np.int64)], {"keepdims": 0})

    def step(self, x):
        return self.node("Cast", self.node("Greater", x, 0), to=self._onnx.TensorProto.FLOAT)

    def relu(self, x):
        return self.node("Relu", x)

    def abs(self, x):
        return self.node("Abs", x)

    def log(self, x):
        return self.node("Log", x)

    def floor(self, x):
        return self.node("Floor", x)

    def concat(self, values, axis):
        return self.node("Concat", *values, axis=axis)

    def reshape(self, x, shape):
        name = x.name if isinstance(x, OnnxValue) else self._constant(x, np.float32)
        return self._add("Reshape", [name, self._constant(shape, np.int64)], {})

    def file(self, inputs, outputs) -> bytes:
        """The network.

        Args:
            inputs: {name: (numpy dtype, shape)}; a side is a number or a name.
            outputs: {name: (value, rank)}.
        """
        helper = self._onnx.helper
        declared = []
        for name, (value, rank) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name]))
            sides = [f"{name}_{axis}" for axis in range(rank)]
            declared.append(helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, sides))
        taken = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in inputs.items()
        ]
        graph = helper.make_graph(self._nodes, "detector", taken, declared, self._constants)
        # Versions that the oldest onnxruntime allowed reads too.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        self._onnx.checker.check_model(model)
        return model.SerializeToString()
