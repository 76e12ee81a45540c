"""One photo in the forms in which people send it."""

import io

import numpy as np
from PIL import Image

# How a camera held in that way stores what is upright.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(pixels, kind="JPEG", tag=None, mode="RGB", **options) -> bytes:
    """The content of a file that is to be viewed as `pixels`; `tag` is its EXIF orientation."""
    exif = Image.Exif()
    picture = Image.fromarray(pixels)
    if tag is not None:
        exif[0x0112] = tag
        picture = picture.transpose(_STORED[tag])
    if mode == "RGBA":
        alpha = np.tile(np.linspace(0, 255, pixels.shape[1]).astype(np.uint8), (len(pixels), 1))
        picture.putalpha(Image.fromarray(alpha))
    elif mode != "RGB":
        picture = picture.convert(mode)
    stream = io.BytesIO()
    picture.save(stream, kind, exif=exif, **options)
    return stream.getvalue()


def every_form(pixels) -> dict[str, bytes]:
    """Name → content."""
    jpeg = {"quality": 95}
    return {
        "jpeg": saved(pixels, **jpeg),
        "progressive": saved(pixels, progressive=True, **jpeg),
        "png": saved(pixels, "PNG"),
        "grey jpeg": saved(pixels, mode="L", **jpeg),
        "grey png": saved(pixels, "PNG", mode="L"),
        "alpha": saved(pixels, "PNG", mode="RGBA"),
        "palette": saved(pixels, "PNG", mode="P"),
        **{f"jpeg turned {tag}": saved(pixels, tag=tag, **jpeg) for tag in range(2, 9)},
        **{f"png turned {tag}": saved(pixels, "PNG", tag=tag) for tag in (3, 6, 8)},
    }
