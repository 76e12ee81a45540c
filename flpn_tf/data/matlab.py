"""MATLAB files → plain values. Needs scipy, which `flpn-tf[train]` brings, and no TensorFlow."""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np

from flpn_tf.data.annotation_files import short
from flpn_tf.errors import InputError

# MAT-file level 5: a header that ends with the byte order, then elements (type, size, data).
_HEADER_BYTES, _TAG_BYTES, _COMPRESSED = 128, 8, 15


def is_mat(content: bytes, path: Path) -> bool:
    """Whether a file is MATLAB's, by its first bytes or (those of version 4 have no mark) by its name."""
    return content.startswith(b"MATLAB") or path.suffix == ".mat"


def mat_variables(content: bytes, path: Path) -> list[str]:
    """Names of the variables of a .mat file's content; their values are not read.

    Raises:
        InputError: it is not a MATLAB file, naming `path`, or scipy is missing.
    """
    return [name for name, *_ in _scipy_io(content, path, lambda io, file: io.whosmat(file))]


def parse_mat(content: bytes, path: Path, variable: str):
    """One variable of a .mat file's content.

    Structs become dicts, struct arrays and cells lists, texts str, 1x1 arrays numbers; dimensions of 1 are
    dropped. What is empty is an array of size 0.

    Raises:
        InputError: it is not a MATLAB file or has no such variable, naming `path`, or scipy is missing.
    """

    def load(io, file):
        return io.loadmat(file, simplify_cells=True, variable_names=[variable])

    values = _scipy_io(content, path, load)
    if variable not in values:
        names = mat_variables(content, path)
        raise InputError(f"{path}: holds no variable {variable}. Received: {short(names)}")
    return values[variable]


def parse_people_array(content: bytes, path: Path, variable: str, *shapes: tuple[int, int]) -> np.ndarray:
    """(a, b, N) float64: one of the (a, b) `shapes` for each of N people.

    Raises:
        InputError: as `parse_mat`; or there are no numbers of such a shape.
    """
    array = np.asarray(parse_mat(content, path, variable))
    if array.ndim == 2:  # a single person: the last dimension has been dropped
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[:2] not in shapes or array.dtype.kind not in "iuf":
        wanted = " or ".join(f"{a}x{b}xN" for a, b in shapes)
        received = "x".join(map(str, array.shape))
        raise InputError(f"{path}: {variable} must be {wanted} numbers. Received: {received} {array.dtype}")
    return array.astype(np.float64)


def plain(value):
    """What `parse_mat` returns with lists in place of arrays: what a json would hold; empty is []."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


def listed(value) -> list:
    """The elements of a plain MATLAB array, of which 0 are `[]` and 1 is no list; None counts as 0."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check_sums(content: bytes) -> None:
    """Raises zlib.error where a compressed variable is damaged.

    scipy checks that last, and what it has parsed by then can crash the interpreter. Variables that are not
    compressed have no check sum.
    """
    order = "<" if content[_HEADER_BYTES - 2 : _HEADER_BYTES] == b"IM" else ">"
    place = _HEADER_BYTES
    while content.startswith(b"MATLAB") and place + _TAG_BYTES <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        place += _TAG_BYTES
        if kind == _COMPRESSED:
            zlib.decompress(content[place : place + size])
        place += size


def _scipy_io(content: bytes, path: Path, read):
    """`read(scipy.io, file of the content)`, its errors as InputErrors."""
    try:
        import scipy.io
    except ImportError as error:
        raise InputError(f"{path}: .mat files need scipy: pip install 'flpn-tf[train]'") from error
    try:
        _check_sums(content)
        with warnings.catch_warnings():
            # Of what it cannot read scipy warns and returns a text; the readers refuse that.
            warnings.simplefilter("ignore")
            return read(scipy.io, BytesIO(content))
    except Exception as error:  # noqa: BLE001  damaged files raise anything: TypeError, zlib.error, …
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: is not a MATLAB file that scipy can read ({reason})") from error
