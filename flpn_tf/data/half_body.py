"""The numbers of the half-body augmentation, as the HRNet code has them. Needs no TensorFlow."""

HALF_BODY_MORE_THAN = 8  # labelled joints of the person
HALF_BODY_AT_LEAST = 3  # labelled joints of the half
HALF_BODY_EXTENT = 1.5  # the crop shows so much of the extent of the half's joints
