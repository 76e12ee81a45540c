"""`python -m flpn_tf` is `flpn`."""

from flpn_tf.cli import main

main()
