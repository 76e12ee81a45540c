"""How alike a network's feature maps are, and the intrinsic ratios that follow (paper, section III)."""
