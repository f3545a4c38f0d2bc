"""Measurements of what a bundle promises: latency, growth, cold start, accuracy, robustness.

It may import `dcet.data`, `dcet.synthetic`, `dcet.targets` and `dcet.runtime`; `prediction` alone
imports `dcet.quantization`, when it is asked for.
"""
