"""Poses found in the photos of a data set."""

from dataclasses import dataclass, replace

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.oks import oks_nms, soft_oks_nms

NMS = ("oks", "soft", "none")


def check_nms(nms: str) -> None:
    """Raises InputError unless `nms` is one of `NMS`."""
    if nms not in NMS:
        raise InputError(f"nms must be one of {', '.join(NMS)}. Received: {nms!r}")


@dataclass(frozen=True)
class PoseSet:
    """P poses.

    Attributes:
        image_ids: (P,) int64 of their photos.
        keypoints: (P, K, 3) (x, y, score), image pixels.
        scores: (P,).
        areas: (P,) of the regions that the crops showed, square image pixels; what OKS-NMS divides by, as in
            the reference code of Xiao et al. 2018.
    """

    image_ids: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, places) -> "PoseSet":
        """The poses at these places."""
        columns = self.image_ids, self.keypoints, self.scores, self.areas
        return PoseSet(*(column[places] for column in columns))

    def of_joints(self, joints: list[int]) -> "PoseSet":
        """With these joints alone, in this order; scores stay those of whole poses."""
        return replace(self, keypoints=self.keypoints[:, joints])

    def suppressed(self, nms: str, sigmas) -> "PoseSet":
        """Without poses that are like a better one of their photo.

        Args:
            nms: "oks", the protocol's; "soft", which lowers scores and keeps the best 20 of a photo; "none".
            sigmas: (K,).

        Returns:
            Of "oks" and "soft", with the poses of a photo together, the best first.
        """
        if nms == "none" or not len(self):
            return self
        kept, scores = [], []
        order = np.argsort(self.image_ids, kind="stable")
        ends = np.flatnonzero(np.diff(self.image_ids[order])) + 1
        for photo in np.split(order, ends):
            poses = self.keypoints[photo], self.scores[photo], self.areas[photo], sigmas
            if nms == "soft":
                places, lowered = soft_oks_nms(*poses)
            else:
                places = oks_nms(*poses)
                lowered = self.scores[photo[places]]
            kept.append(photo[places])
            scores.append(lowered)
        return replace(self.at(np.concatenate(kept)), scores=np.concatenate(scores))
