"""Read the corpora that encoders and the network are trained and evaluated on."""
