"""What the pose networks share: a skeleton, their constructor as config, the deployment spec."""

import keras

from flpn_tf.skeleton import COCO_17, Skeleton


def as_skeleton(skeleton, keypoints):
    """The Skeleton meant by a Skeleton, its dict, or only a number of keypoints."""
    if isinstance(skeleton, dict):
        skeleton = Skeleton.from_dict(skeleton)
    if skeleton is None:
        if keypoints in (None, len(COCO_17)):
            return COCO_17
        return Skeleton.unnamed(keypoints)
    if keypoints not in (None, len(skeleton)):
        raise ValueError(
            f"keypoints disagrees with the skeleton. Received: {keypoints=}, a skeleton of {len(skeleton)}"
        )
    return skeleton


class PoseNetwork(keras.Model):
    """Base of the networks: RGB pixels 0–255 (B, H, W, 3) → heatmaps (B, H / 4, W / 4, K), float32.

    A subclass builds its graph in `__init__`, passes it to `super().__init__` and stores each
    constructor argument as an attribute named in `ARGUMENTS`.
    """

    ARGUMENTS: tuple[str, ...] = ()

    def __init__(self, inputs, outputs, skeleton, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.skeleton = skeleton

    @property
    def keypoints(self):
        """K, the number of keypoints."""
        return len(self.skeleton)

    def get_config(self):
        config = {"name": self.name, "skeleton": self.skeleton.to_dict()}
        return config | {key: getattr(self, key) for key in self.ARGUMENTS}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
