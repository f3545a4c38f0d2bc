"""Training DCET: corpora, the network, fitting, calibration and evaluation.

Needs `pip install 'dcet[train]'`. It may import `dcet.data`, `dcet.synthetic` and `dcet.runtime`.
"""
