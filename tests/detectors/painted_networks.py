"""Detectors without training: they find `painted` people and say so as a published network would.

A network turns its input back into pixels by the mean, the standard deviation and the order of channels that
its family is documented to want, so it finds nobody in a picture prepared otherwise; nor in one laid out
otherwise, which it knows by the pixel in the lower right corner: the border of a letterbox, or the ground.
"""

import numpy as np
from graph_ops import OnnxOps, OnnxValue, TfOps
from painted import BRIGHT, GROUND

HEIGHT, WIDTH = 128, 192
SCORES = (0.9, 0.6, 0.8)  # of the red, green and blue one
CLASSES = 2  # people and others
STEPS = 8  # of a PicoDet distance
_FAR = 1e4
_RGB_MEAN, _RGB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# Family: mean, std, whether channels come as BGR, grey of the corner.
FAMILIES = {
    "yolox": (0.0, 1.0, True, 114),
    "ssd": (127.5, 127.5, False, GROUND),
    "ssd-pixels": (0.0, 1.0, False, GROUND),
    "picodet": (_RGB_MEAN, _RGB_STD, False, GROUND),
}


def cell_grid(strides):
    """(N, 3) column, row, stride of each cell."""
    return np.array(
        [
            (column, row, stride)
            for stride in strides
            for row in range(-(-HEIGHT // stride))
            for column in range(-(-WIDTH // stride))
        ],
        np.float32,
    )


def find(ops, image, family, channels_first):
    """Of the red, green and blue one [left, top, right, bottom], network pixels, and 1 where it is there."""
    mean, std, bgr, corner = FAMILIES[family]
    shape = (1, 3, 1, 1) if channels_first else (1, 1, 1, 3)
    order = slice(None, None, -1) if bgr else slice(None)
    mean, std = (np.broadcast_to(np.float32(value), 3)[order].reshape(shape) for value in (mean, std))
    pixels = image * std + mean
    channel_axis, row_axis, column_axis = (1, 2, 3) if channels_first else (3, 1, 2)
    last = np.zeros((1, 3, HEIGHT, WIDTH) if channels_first else (1, HEIGHT, WIDTH, 3), np.float32)
    last[(0, 0, -1, -1) if channels_first else (0, -1, -1, 0)] = 1
    laid_out = ops.relu(1.0 - ops.abs(ops.rsum(pixels * last, [0, 1, 2, 3]) - np.float32(corner)))
    found = []
    for channel in (2, 1, 0) if bgr else (0, 1, 2):
        only = np.zeros(3, np.float32)
        only[channel] = 1
        painted = ops.step(
            ops.rsum(pixels * only.reshape(shape), [channel_axis]) - np.float32((BRIGHT + GROUND) / 2)
        )
        columns = ops.reshape(ops.rmax(painted, [1]), [WIDTH])
        rows = ops.reshape(ops.rmax(painted, [2]), [HEIGHT])
        sides = []
        for line, length in ((columns, WIDTH), (rows, HEIGHT)):
            places = np.arange(length, dtype=np.float32)
            sides.append((ops.rmin(places + (1.0 - line) * _FAR, [0]), ops.rmax((places + 1) * line, [0])))
        (left, right), (top, bottom) = sides
        found.append(
            (left, top, right, bottom, ops.rmax(painted, [0, 1, 2]) * ops.step(laid_out - np.float32(0.5)))
        )
    return found


def _row(ops, values):
    """(1, len) of scalars."""
    return ops.concat([ops.reshape(value * np.float32(1), [1, 1]) for value in values], 1)


def _one_hot(ops, place, count):
    """(count, 1): 1 at the place."""
    return ops.relu(1.0 - ops.abs(np.arange(count, dtype=np.float32)[:, None] - ops.reshape(place, [1, 1])))


def _cell(ops, box, stride, strides):
    """The (N, 1) one-hot of the cell of `stride` that holds a box's centre, and the centre in cells."""
    left, top, right, bottom, _ = box
    x, y = (left + right) / np.float32(2 * stride), (top + bottom) / np.float32(2 * stride)
    column, row = ops.floor(x), ops.floor(y)
    grid = cell_grid(strides)
    before = int((grid[:, 2] < stride).sum())
    columns = -(-WIDTH // stride)
    return (
        _one_hot(ops, row * np.float32(columns) + column + np.float32(before), len(grid)),
        x,
        y,
        column,
        row,
    )


def _total(parts):
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _class_scores(channel, found):
    """Of people and others: the first two are people."""
    kind = int(channel == 2)
    return [found * np.float32(SCORES[channel] * (kind == number)) for number in range(CLASSES)]


def yolox(ops, image, channels_first=True, decoded=False):
    strides, stride, parts, taken = (8, 16, 32), 32, [], []
    for channel, box in enumerate(find(ops, image, "yolox", channels_first)):
        left, top, right, bottom, found = box
        hot, x, y, column, row = _cell(ops, box, stride, strides)
        # At least a pixel: the logarithm of what is not there must be a number.
        w, h = (ops.relu(side - np.float32(1)) + np.float32(1) for side in (right - left, bottom - top))
        if decoded:
            place = [x * np.float32(stride), y * np.float32(stride), w, h]
        else:
            place = [x - column, y - row, ops.log(w / np.float32(stride)), ops.log(h / np.float32(stride))]
        # Objectness times class is the score.
        scores = [found, *(score for score in _class_scores(channel, found))]
        parts.append(hot * _row(ops, [*place, *scores]))
        taken.append(hot)
    rows = _total(parts)
    if decoded:
        grid = cell_grid(strides)
        near = np.zeros((len(grid), 5 + CLASSES), np.float32)
        near[:, :2], near[:, 2:4] = (grid[:, :2] + 0.5) * grid[:, 2:], grid[:, 2:]
        rows = rows + (1.0 - _total(taken)) * near
    return {"output": (ops.reshape(rows, [1, -1, 5 + CLASSES]), 3)}


def _parts_of_picture(ops, box):
    left, top, right, bottom, _ = box
    return [
        top / np.float32(HEIGHT),
        left / np.float32(WIDTH),
        bottom / np.float32(HEIGHT),
        right / np.float32(WIDTH),
    ]


def ssd_candidates(ops, image, channels_first=False):
    boxes, scores = [], []
    for channel, box in enumerate(find(ops, image, "ssd", channels_first)):
        hot = np.eye(5, dtype=np.float32)[:, [channel + 1]]
        boxes.append(hot * _row(ops, [value * box[4] for value in _parts_of_picture(ops, box)]))
        scores.append(hot * _row(ops, [np.float32(0) * box[4], *_class_scores(channel, box[4])]))
    return {
        "boxes": (ops.reshape(_total(boxes), [1, 5, 4]), 3),
        "scores": (ops.reshape(_total(scores), [1, 5, 1 + CLASSES]), 3),
    }


def ssd_processed(ops, image, channels_first=False, order="boxes classes scores number", api=False):
    """As behind TFLite_Detection_PostProcess; the last row, which is not meant, is NaN.

    Args:
        api: as the Object Detection API itself gives them: of pixels, named, classes counted from 1.
    """
    found = find(ops, image, "ssd-pixels" if api else "ssd", channels_first)
    nothing = np.full((1, 1), np.nan, np.float32)
    rows = [_row(ops, _parts_of_picture(ops, box)) for box in found]
    values = {
        "boxes": (ops.reshape(ops.concat([*rows, np.full((1, 4), np.nan, np.float32)], 0), [1, 4, 4]), 3),
        "classes": (
            ops.concat([_row(ops, [found[0][4] * 0.0 + float(k + api) for k in (0, 0, 1)]), nothing], 1),
            2,
        ),
        "scores": (
            ops.concat(
                [_row(ops, [box[4] * score for box, score in zip(found, SCORES, strict=True)]), nothing], 1
            ),
            2,
        ),
        "number": (ops.reshape(found[0][4] * 0.0 + 3.0, [1]), 1),
    }
    prefix = "detection_" if api else ""
    return {prefix + name: values[name] for name in order.split()}


def picodet_distributions(ops, image, channels_first=True):
    strides, stride = (8, 16, 32, 64), 64
    grid = cell_grid(strides)
    steps = np.arange(STEPS, dtype=np.float32)
    distances, scores, taken = [], [], []
    for channel, box in enumerate(find(ops, image, "picodet", channels_first)):
        left, top, right, bottom, found = box
        hot, _, _, column, row = _cell(ops, box, stride, strides)
        x, y = (column + np.float32(0.5)) * np.float32(stride), (row + np.float32(0.5)) * np.float32(stride)
        logits = []
        for distance in (x - left, y - top, right - x, bottom - y):
            # All weight on the two steps beside the distance.
            near = ops.relu(1.0 - ops.abs(steps - ops.reshape(distance / np.float32(stride), [1, 1])))
            logits.append(ops.log(near + np.float32(1e-9)))
        distances.append(hot * ops.concat(logits, 1))
        scores.append(hot * _row(ops, _class_scores(channel, found)))
        taken.append(hot)
    distances = _total(distances) - (1.0 - _total(taken))  # logits have no lowest value
    outputs = {}
    for kind, rows, depth in (("scores", _total(scores), CLASSES), ("distances", distances, 4 * STEPS)):
        for level in strides:
            places = np.flatnonzero(grid[:, 2] == level)
            chosen = np.zeros((len(places), len(grid)), np.float32)
            chosen[np.arange(len(places)), places] = 1
            outputs[f"{kind}{level}"] = (ops.reshape(_chosen(ops, chosen, rows), [1, len(places), depth]), 3)
    return outputs


def _chosen(ops, chosen, rows):
    """(M, N) × (N, D) without a matrix product, which the two builders spell differently."""
    return ops.rsum(
        ops.reshape(chosen, [*chosen.shape, 1]) * ops.reshape(rows, [1, chosen.shape[1], -1]), [1]
    )


def picodet_boxes(ops, image, channels_first=True):
    strides, stride = (8, 16, 32, 64), 64
    boxes, scores = [], []
    for channel, box in enumerate(find(ops, image, "picodet", channels_first)):
        hot = _cell(ops, box, stride, strides)[0]
        boxes.append(hot * _row(ops, box[:4]))
        scores.append(
            ops.concat([ops.reshape(hot * score, [1, -1]) for score in _class_scores(channel, box[4])], 0)
        )
    count = len(cell_grid(strides))
    return {
        "boxes": (ops.reshape(_total(boxes), [1, count, 4]), 3),
        "scores": (ops.reshape(_total(scores), [1, CLASSES, count]), 3),
    }


def picodet_rows(ops, image, scale_factor, channels_first=True):
    """Behind the suppression: boxes are divided by the scale factor (y, x)."""
    rows = []
    for channel, (*box, found) in enumerate(find(ops, image, "picodet", channels_first)):
        rows.append(_row(ops, [found * 0.0 + float(channel == 2), found * np.float32(SCORES[channel]), *box]))
    swap = np.array([[[0, 1], [1, 0], [0, 1], [1, 0]]], np.float32)
    divisors = ops.rsum(ops.reshape(scale_factor, [1, 1, 2]) * swap, [2])
    divisors = ops.concat([np.ones((1, 2), np.float32), divisors], 1)
    return {
        "rows": (ops.concat(rows, 0) / divisors, 2),
        "number": (ops.reshape(scale_factor * np.float32([[3, 0]]), [2]), 1),
    }


def onnx_bytes(network, channels_first=True, dtype="float32", **options) -> bytes:
    ops = OnnxOps()
    shape = ["batch", 3, HEIGHT, WIDTH] if channels_first else [1, HEIGHT, WIDTH, 3]
    inputs, values = {"image": (dtype, shape)}, [OnnxValue(ops, "image")]
    if network is picodet_rows:
        inputs["scale_factor"] = ("float32", [1, 2])
        values.append(OnnxValue(ops, "scale_factor"))
    if dtype != "float32":
        values[0] = ops.node("Cast", values[0], to=1)
    return ops.file(inputs, network(ops, *values, channels_first=channels_first, **options))


def tflite_bytes(network, **options) -> bytes:
    """NHWC."""

    def graph(image):
        found = network(TfOps(), image, channels_first=False, **options)
        # The converter orders four outputs as 1, 3, 0, 2.
        return {f"output_{place}": value for place, (value, _) in enumerate(found.values())}

    return convert(graph, (1, HEIGHT, WIDTH, 3))


def convert(graph, shape, pictures=None, dtype=None) -> bytes:
    """A graph of one picture as `.tflite`; of integers where pictures to calibrate by are given."""
    import tensorflow as tf

    function = tf.function(graph, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    if pictures is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture] for picture in pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
    return converter.convert()
