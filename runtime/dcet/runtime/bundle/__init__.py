"""Read and verify a bundle: its container, its manifest, its golden sequences."""
