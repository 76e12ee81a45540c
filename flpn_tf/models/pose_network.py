"""What the pose networks share: a skeleton, their constructor as config, the deployment spec."""

import hashlib

import keras
import numpy as np

from flpn_tf.codec import HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.layers.fake_quant import fake_quantised, is_range, is_wanted
from flpn_tf.layers.pixel_conv import IMAGENET_MEAN, IMAGENET_STD
from flpn_tf.presets import weights_path
from flpn_tf.skeleton import COCO_17, Skeleton
from flpn_tf.spec import PoseSpec


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
    constructor argument as an attribute named in `ARGUMENTS`. The precision policy is not saved: a
    network trained in mixed precision loads in the policy then in force, its weights float32.

    Attributes:
        qat: whether it computes as int8 would, with `flpn_tf.layers.fake_quant`; so is one that was built
            within `fake_quantised()` or saved by quantisation-aware training.
    """

    ARGUMENTS: tuple[str, ...] = ()

    def __init__(self, inputs, outputs, skeleton, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.skeleton = skeleton
        self.qat = is_wanted()

    @classmethod
    def from_preset(cls, name, load_weights=True):
        """A shipped network.

        Args:
            name: preset or alias.
            load_weights: False: the architecture alone, its weights random.

        Returns:
            The network, float32, not compiled.

        Raises:
            InputError: as `weights_path`, or a preset that is no network of this class.

        Example:
            >>> model = FLPN.from_preset("flpn-mobile")
            >>> model(keras.ops.zeros((1, 192, 160, 3))).shape
            (1, 48, 40, 17)
        """
        from flpn_tf.models.load import load_network  # it needs this class

        network = load_network(weights_path(name))
        if not isinstance(network, cls):
            raise InputError(
                f"The preset {name} is no {cls.__name__}; use {type(network).__name__}.from_preset. "
                f"Received: {str(name)!r}"
            )
        return network if load_weights else type(network).from_config(network.get_config())

    @property
    def keypoints(self):
        """K, the number of keypoints."""
        return len(self.skeleton)

    @property
    def codec(self):
        """The `HeatmapCodec` of this network's heatmaps."""
        return HeatmapCodec(*self.output_shape[1:3])

    def weights_sha256(self):
        """Hex digest over all weights as little-endian float32, in `self.weights` order."""
        digest = hashlib.sha256()
        for weight in self.weights:
            digest.update(np.asarray(keras.ops.convert_to_numpy(weight), "<f4").tobytes())
        return digest.hexdigest()

    def pose_spec(self, name=None):
        """The `PoseSpec` of this network as it stands: uint8 pixels in, float32 heatmaps out."""
        codec = self.codec
        height, width = self.image_size
        return PoseSpec(
            name=name or self.name,
            architecture={"class": type(self).__name__} | {key: getattr(self, key) for key in self.ARGUMENTS},
            input_height=height,
            input_width=width,
            output_height=codec.height,
            output_width=codec.width,
            skeleton=self.skeleton,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            stride=codec.stride,
            sigma=codec.sigma,
            decode_rule=codec.decode_rule,
            weights_sha256=self.weights_sha256(),
        )

    @property
    def plain_weights(self):
        """Its variables without the ranges of quantisation-aware training."""
        return [weight for weight in self.weights if not is_range(weight)]

    @property
    def has_ranges(self):
        """Whether quantisation-aware training has found the range of every tensor."""
        return all(float(weight) > 0 for weight in self.weights if weight.name == "range_seen")

    def with_qat(self, wanted=True) -> "PoseNetwork":
        """A copy that computes as int8 would, its ranges still empty; or one that does not."""
        copy = type(self).from_config(self.get_config() | {"qat": wanted})
        for ours, theirs in zip(copy.plain_weights, self.plain_weights, strict=True):
            ours.assign(theirs)
        return copy

    def get_config(self):
        config = {"name": self.name, "skeleton": self.skeleton.to_dict()}
        if self.qat:
            config["qat"] = True
        return config | {key: getattr(self, key) for key in self.ARGUMENTS}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        with fake_quantised(config.pop("qat", False)):
            return cls(**config)
