"""Labelled turns and corpora, without torch. It may import `dcet.runtime` and `dcet.synthetic`."""
