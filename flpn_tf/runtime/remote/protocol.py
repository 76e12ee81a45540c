"""What the client and an exported model agree on. Needs no TensorFlow, so that both can import it."""

SIGNATURE = "serve_jpeg"
BATCH = 32  # most boxes that an exported model's configuration lets a server put into one run
