"""What all pictures drawn with matplotlib share; it is in the extra `evaluate`."""

import contextlib
import io
import warnings

from flpn_tf.errors import InputError

_DPI = 110


def needs_matplotlib() -> None:
    """Raises InputError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"pictures need {error.name}; install it with: pip install 'flpn-tf[evaluate]'"
        ) from error


@contextlib.contextmanager
def any_text():
    """Names of files drawn meanwhile are no formulas, and may have letters that the font has not."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def new_figure(width: float, height: float):
    """A figure of so many inches that no window belongs to."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def png(figure) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
