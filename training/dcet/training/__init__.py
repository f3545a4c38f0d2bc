"""Training DCET: corpora, the network, fitting, calibration and evaluation.

Needs `pip install 'dcet[train]'`.
"""
