"""`make demo`: the shipped int8 model on two public photos, needing nothing but the base install."""

import importlib.util
import statistics
import sys
import time
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.presets import ALIASES
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.estimator import KEYPOINT_THRESHOLD, PoseEstimator
from flpn_tf.runtime.files import encode_picture, write_atomically
from flpn_tf.runtime.images import read_image

MODEL = f"{ALIASES['flpn-mobile']}_int8"
# Photos of scikit-image's wheel and the person's box in them, drawn by hand: [x, y, w, h], pixels.
PHOTOS = {"astronaut.png": [20, 15, 350, 497], "camera.png": [0, 60, 340, 452]}
_RUNS = 20


def photo_folder() -> Path:
    """Where scikit-image keeps its photos; it is found, not imported: that would need its dependencies.

    Raises:
        InputError: scikit-image is not installed.
    """
    package = importlib.util.find_spec("skimage")
    if package is None:
        raise InputError("the demo's photos come with scikit-image: pip install --no-deps scikit-image")
    return Path(package.submodule_search_locations[0]) / "data"


def run(output: Path) -> None:
    """Estimates, prints and draws the pose in each photo; writes `output/<photo>_pose.png`."""
    estimator = PoseEstimator(MODEL)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made a folder ({error.strerror})") from error
    for file_name, box in PHOTOS.items():
        image = read_image(photo_folder() / file_name)
        poses = estimator.estimate(image, [box])
        seconds = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            estimator.estimate(image, [box])
            seconds.append(time.perf_counter() - start)
        print(f"\n{file_name}: person score {poses.scores[0]:.2f}, box {box} drawn by hand")
        for name, (x, y, score) in zip(estimator.skeleton.names, poses.keypoints[0], strict=True):
            mark = "" if score > KEYPOINT_THRESHOLD else "  (not found)"
            print(f"{name:>16}  x {x:6.1f}  y {y:6.1f}  score {score:.2f}{mark}")
        picture = output / f"{Path(file_name).stem}_pose.png"
        write_atomically(picture, encode_picture(draw_poses(image, poses), picture.suffix))
        print(
            f"crop + network + decode: {1000 * statistics.median(seconds):.1f} ms, "
            f"median of {_RUNS}, one thread"
        )
        print(f"the pose drawn on the photo: {picture.resolve()}")
    spec = estimator.spec
    size = estimator.path.stat().st_size / 1e6
    print(
        f"\nmodel {spec.name}: {spec.input_height}x{spec.input_width} crop (height x width), {size:.2f} MB; "
        f"TensorFlow {'was' if 'tensorflow' in sys.modules else 'was not'} imported"
    )


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
    except InputError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
