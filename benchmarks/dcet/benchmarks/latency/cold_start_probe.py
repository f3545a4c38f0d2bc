"""The time from nothing to a first estimate, measured in the fresh process that runs this.

Usage: python -m dcet.benchmarks.latency.cold_start_probe BUNDLE ENGINE
"""

import sys
import time


def main(bundle_path: str, engine: str) -> None:
    start = time.perf_counter()
    from dcet import runtime

    imported = time.perf_counter()
    bundle = runtime.Bundle.open(bundle_path)
    opened = time.perf_counter()
    runtime.Conversation(bundle, engine).turn("Ada", "Good morning, did you sleep well?")
    answered = time.perf_counter()

    # Imported late, so that none of it is already there when the runtime is timed.
    import json

    from dcet.benchmarks.latency.process_memory import peak_rss_bytes

    run = {
        "import_s": imported - start,
        "open_s": opened - imported,
        "first_estimate_s": answered - opened,
        "peak_rss_bytes": peak_rss_bytes(),
    }
    print(json.dumps(run))


if __name__ == "__main__":
    main(*sys.argv[1:])
