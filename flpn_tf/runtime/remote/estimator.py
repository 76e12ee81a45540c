"""RemoteEstimator: `PoseEstimator.estimate`, computed by a server."""

import random
import re
import time
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.estimator import check_boxes, check_scores, pose_scores, whole_frame
from flpn_tf.runtime.files import encode_picture
from flpn_tf.runtime.images import check_image, decode_image
from flpn_tf.runtime.photo_header import read_header
from flpn_tf.runtime.poses import Poses
from flpn_tf.runtime.remote.transport import Answer, Transport, Unavailable
from flpn_tf.skeleton import COCO_17, Skeleton
from flpn_tf.spec import PoseSpec

BATCH = 32  # boxes a request: what `flpn export` lets a server put into one run
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds

_REST = re.compile(r"https?://[^/?#]+/(?:[^?#]*/)?v1/models/(?P<name>[^/:?#]+)(/versions/[0-9]+)?")
_GRPC = re.compile(r"grpc(?P<secure>s?)://(?P<address>[^/?#]+)/(?P<name>[^/:?#]+)(?:/(?P<version>[0-9]+))?")


def is_url(model) -> bool:
    """Whether a model's name means a server's."""
    return isinstance(model, str) and "://" in model


class RemoteEstimator:
    """Estimates poses by a server that has a model of `flpn export`: TensorFlow Serving, KServe.

    Photos go as they are; the server decodes them and turns them upright. Several threads may use one
    estimator. It is a context manager, which closes its connections.

    Example:
        with RemoteEstimator("http://localhost:8501/v1/models/flpn") as server:
            poses = server.estimate("photo.jpg", boxes=[[40, 20, 110, 260]])

    Args:
        url: ``http[s]://HOST[:PORT]/v1/models/NAME[/versions/N]`` (REST), or ``grpc[s]://HOST:PORT/NAME[/N]``.
        spec: `pose_spec.json` of the model, which names its joints; without it 17 are COCO's, and others
            have numbers.
        deadline: seconds that an `estimate` may take. What a busy, starting or unreachable server refuses is
            asked again until then, after pauses that double from 0.1 s to 5 s.
        batch: most boxes in one request.
        send_once: a photo of several boxes is sent once and not with each of them. Not for a server
            that puts requests into batches (TensorFlow Serving's ``--enable_batching``), which refuses it.

    Raises:
        InputError: a bad argument, or a package that the protocol needs is not installed.
    """

    def __init__(
        self, url: str, *, spec=None, deadline: float = 30.0, batch: int = BATCH, send_once: bool = False
    ):
        if not (isinstance(deadline, int | float) and 0 < deadline < float("inf")):
            raise InputError(f"deadline is a number of seconds above 0. Received: {deadline!r}")
        if not (isinstance(batch, int) and batch >= 1):
            raise InputError(f"batch is a number of boxes, 1 or more. Received: {batch!r}")
        self.url, self.name, self._transport = url, *_connect(url)
        self._deadline, self._batch, self._send_once = deadline, batch, send_once
        self._skeleton = None
        if spec is not None:
            self._skeleton = PoseSpec.from_json(_read(Path(spec)), str(spec)).skeleton

    def estimate(self, image, boxes=None, box_scores=None, name=None) -> Poses:
        """Finds one pose a box, as `PoseEstimator.estimate`.

        Args:
            image: path or content of a photo, or ``(H, W, 3)`` uint8 RGB. JPEG and PNG go to the server as
                they are, others as PNG.
            boxes: ``(P, 4)`` ``[x, y, w, h]`` in pixels of the upright photo, P may be 0. With None the whole
                frame is taken as one person, then the box around what was found.
            box_scores: ``(P,)`` confidences of the boxes, by default 1.
            name: what messages call the image, by default its path.

        Raises:
            InputError: an unreadable image or a bad box, naming which.
            RemoteError: the server gave no answer within the deadline, or one of no use.
        """
        give_up = time.monotonic() + self._deadline
        name = name or (str(image) if isinstance(image, str | Path) else "the image")
        content, width, height = _content(image, name)
        if boxes is not None:
            boxes = check_boxes(boxes, height, width, name)
            scores = check_scores(box_scores, len(boxes), name)
            return self._estimate(content, boxes, scores, name, give_up)
        if box_scores is not None:
            raise InputError(f"{name}: box_scores need boxes. Received: boxes=None")
        return whole_frame(
            lambda box: self._estimate(content, box, np.ones(1), name, give_up), height, width, name
        )

    def close(self) -> None:
        """Ends its connections."""
        self._transport.close()

    def __enter__(self) -> "RemoteEstimator":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _estimate(self, content: bytes, boxes, box_scores, name: str, give_up: float) -> Poses:
        parts = []
        for start in range(0, len(boxes), self._batch):
            answer = self._ask(content, boxes[start : start + self._batch], give_up)
            for number, error in enumerate(answer.errors, start):
                if error:
                    raise InputError(f"{name}: box {number}: the server says: {error}")
            parts.append(answer.keypoints)
        if not parts:  # nobody; the server refuses a request without a box
            parts = [np.zeros((0, len(self._skeleton or COCO_17), 3))]
        keypoints = np.concatenate(parts)
        skeleton = self._skeleton_of(keypoints.shape[1])
        return Poses(boxes, keypoints, box_scores * pose_scores(keypoints), skeleton)

    def _skeleton_of(self, joints: int) -> Skeleton:
        if self._skeleton is None:
            return COCO_17 if joints == len(COCO_17) else Skeleton.unnamed(joints)
        if joints != len(self._skeleton):
            raise InputError(
                f"{self.url}: the model has {joints} joints, the spec given for it {len(self._skeleton)}; "
                "give the pose_spec.json in the model's assets"
            )
        return self._skeleton

    def _ask(self, content: bytes, boxes: np.ndarray, give_up: float) -> Answer:
        photos = [content] * (1 if self._send_once else len(boxes))
        pause = _FIRST_PAUSE
        while True:
            left = give_up - time.monotonic()
            try:
                return self._transport.predict(photos, boxes.astype(np.float32), max(left, 0.001))
            except Unavailable as error:
                # Clients that were refused together must not come back together.
                wait = pause * random.uniform(0.5, 1.0)
                if time.monotonic() + wait >= give_up:
                    raise RemoteError(f"no answer within {self._deadline:g} s. Last: {error}") from error
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _connect(url: str) -> tuple[str, Transport]:
    """The model's name and a connection to it."""
    if match := _REST.fullmatch(str(url)):
        from flpn_tf.runtime.remote.over_rest import RestTransport

        return match["name"], RestTransport(url)
    if match := _GRPC.fullmatch(str(url)):
        from flpn_tf.runtime.remote.over_grpc import GrpcTransport

        version = None if match["version"] is None else int(match["version"])
        address, secure = match["address"], match["secure"] == "s"
        return match["name"], GrpcTransport(url, address, match["name"], version, secure)
    raise InputError(
        f"a server's model is http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME. Received: {url!r}"
    )


def _content(image, name: str) -> tuple[bytes, int, int]:
    """What to send, and width and height of the upright photo."""
    if isinstance(image, np.ndarray):
        height, width = check_image(image, name).shape[:2]
        return encode_picture(image, ".png"), width, height
    content = image if isinstance(image, bytes) else _read(Path(image))
    header = read_header(content)
    if header is not None:
        return content, *header.upright_size
    # Another format, or no photo, which is said here.
    image = decode_image(content, name)
    return encode_picture(image, ".png"), image.shape[1], image.shape[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
