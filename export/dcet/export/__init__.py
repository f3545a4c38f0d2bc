"""Export a checkpoint to a verified bundle. Needs `pip install 'dcet[export]'`.

It may import every other package but `dcet.finalize` and `dcet.benchmarks`.
"""
