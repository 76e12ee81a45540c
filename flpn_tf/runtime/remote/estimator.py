"""RemoteEstimator: `PoseEstimator.estimate`, computed by a server."""

import json
import numbers
import os
import random
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.estimator import check_boxes, check_scores, pose_scores, whole_frame
from flpn_tf.runtime.poses import Poses
from flpn_tf.runtime.remote.connect import connect
from flpn_tf.runtime.remote.photos import PhotoLike, read_file, to_send
from flpn_tf.runtime.remote.protocol import BATCH
from flpn_tf.runtime.remote.transport import Answer, Unavailable
from flpn_tf.skeleton import COCO_17, Skeleton
from flpn_tf.spec import PoseSpec

_MOST_BYTES = 32 << 20  # of photos in a request, which memory holds a few times
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds
_LONGEST_DEADLINE = 1e6  # seconds; far beyond it sockets and locks take no timeout


def is_url(model) -> bool:
    """Whether a model's name means a server's."""
    return isinstance(model, str) and "://" in model


class RemoteEstimator:
    """Estimates poses by a server that has a model of `flpn export`: TensorFlow Serving, KServe.

    Photos go as they are; the server decodes them and turns them upright. Several threads may use one
    estimator; by REST up to 32 ask at once, others wait. It is a context manager, which closes its
    connections.

    Example:
        with RemoteEstimator("http://localhost:8501/v1/models/flpn") as server:
            poses = server.estimate("photo.jpg", boxes=[[40, 20, 110, 260]])

    Args:
        url: ``http[s]://[USER:PASSWORD@]HOST[:PORT]/v1/models/NAME[/versions/N]`` (REST), or
            ``grpc[s]://HOST:PORT/NAME[/N]``.
        spec: the model's `PoseSpec`, or its `pose_spec.json` as a path or dict, which names its joints;
            without it 17 are COCO's, and others have numbers.
        deadline: seconds that an `estimate` may take. What a busy, starting or unreachable server refuses is
            asked again until then, after pauses that double from 0.1 s to 5 s.
        batch: most boxes in one request; not more than the server's ``max_batch_size``, where it batches, or
            it refuses them. Large photos go with fewer: those of a request have 32 MB together, or it is one.
        send_once: a photo of several boxes is sent once and not with each of them. Not for a server
            that puts requests into batches (TensorFlow Serving's ``--enable_batching``), which refuses it.

    Raises:
        InputError: a bad argument, or a package that the protocol needs is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        spec: str | os.PathLike | Mapping | PoseSpec | None = None,
        deadline: float = 30.0,
        batch: int = BATCH,
        send_once: bool = False,
    ):
        if not (isinstance(deadline, numbers.Real) and 0 < deadline <= _LONGEST_DEADLINE):
            raise InputError(
                f"deadline is a number of seconds above 0, at most {_LONGEST_DEADLINE:.0f}. "
                f"Received: {deadline!r}"
            )
        if not (isinstance(batch, numbers.Integral) and batch >= 1):
            raise InputError(f"batch is a number of boxes, 1 or more. Received: {batch!r}")
        self._skeleton = None if spec is None else _read_spec(spec).skeleton
        self._deadline, self._batch, self._send_once = float(deadline), int(batch), send_once
        self._closed = False
        self.url, self.name, self._transport = connect(url)

    def estimate(
        self,
        image: PhotoLike,
        boxes: ArrayLike | None = None,
        box_scores: ArrayLike | None = None,
        *,
        name: str | None = None,
    ) -> Poses:
        """Finds one pose a box, as `PoseEstimator.estimate`, but without `flip_test`: that is in the
        exported model, or not.

        Args:
            image: path or content of a photo, or ``(H, W, 3)`` uint8 RGB, of at most 64 megapixels. JPEG and
                PNG go to the server as they are, others as PNG.
            boxes: ``(P, 4)`` ``[x, y, w, h]`` in pixels of the upright photo, P may be 0. With None the whole
                frame is taken as one person, then the box around what was found.
            box_scores: ``(P,)`` confidences of the boxes, by default 1.
            name: what messages call the image, by default its path.

        Raises:
            InputError: an unreadable image or a bad box, naming which; or this estimator is closed.
            RemoteError: the server gave no answer within the deadline, or one of no use.
        """
        give_up = time.monotonic() + self._deadline
        name = name or (str(image) if isinstance(image, str | os.PathLike) else "the image")
        content, width, height = to_send(image, name)
        photo = self._transport.encoded(content)
        if boxes is not None:
            boxes = check_boxes(boxes, height, width, name)
            scores = check_scores(box_scores, len(boxes), name)
            return self._estimate(photo, boxes, scores, name, give_up)
        if box_scores is not None:
            raise InputError(f"{name}: box_scores need boxes. Received: boxes=None")
        return whole_frame(
            lambda box: self._estimate(photo, box, np.ones(1), name, give_up), height, width, name
        )

    def close(self) -> None:
        """Ends its connections; nothing can be asked after."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> "RemoteEstimator":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _estimate(self, photo: bytes, boxes, box_scores, name: str, give_up: float) -> Poses:
        most = self._batch if self._send_once else min(self._batch, max(_MOST_BYTES // len(photo), 1))
        parts = []
        for start in range(0, len(boxes), most):
            answer = self._ask(photo, boxes[start : start + most], give_up)
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

    def _ask(self, photo: bytes, boxes: np.ndarray, give_up: float) -> Answer:
        photos = [photo] * (1 if self._send_once else len(boxes))
        request = self._transport.request(photos, boxes.astype(np.float32))
        pause, last = _FIRST_PAUSE, None
        while (left := give_up - time.monotonic()) > 0:
            if self._closed:
                raise InputError(f"{self.url}: this RemoteEstimator is closed; make another")
            try:
                return self._transport.predict(request, len(boxes), left)
            except Unavailable as error:
                last = error
            # Clients that were refused together must not come back together.
            wait = pause * random.uniform(0.5, 1.0)
            if time.monotonic() + wait >= give_up:
                break
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)
        said = f". Last: {last}" if last else ""  # else reading, or earlier boxes, took as long
        raise RemoteError(f"no answer within {self._deadline:g} s{said}") from last


def _read_spec(spec) -> PoseSpec:
    if isinstance(spec, PoseSpec):
        return spec
    if isinstance(spec, str | os.PathLike):
        return PoseSpec.from_json(read_file(spec), str(spec))
    if not isinstance(spec, Mapping):
        raise InputError(f"spec is a path, a dict or a PoseSpec. Received: {type(spec).__name__}")
    try:
        return PoseSpec.from_json(json.dumps(dict(spec)), "spec")
    except TypeError as error:
        raise InputError(f"spec is no content of pose_spec.json: {error}") from error
