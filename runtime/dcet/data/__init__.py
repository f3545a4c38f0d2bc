"""Labelled turns and corpora, without torch. It may import `dcet.synthetic` and `dcet.runtime`."""
