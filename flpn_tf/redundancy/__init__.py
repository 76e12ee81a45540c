"""How alike a network's feature maps are, and the intrinsic ratio that follows for each stage (paper, section III)."""
