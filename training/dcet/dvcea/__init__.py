"""Makes DVCEA data sets from video: decode, tell the speaker from others, encode, write, look.

Needs `pip install 'dcet[dvcea]'`. It may import `dcet.training`, `dcet.data`, `dcet.live` and
`dcet.runtime`. What it writes is read by `dcet.data.dvcea`.
"""
