"""The comparison that ``scripts/bench`` makes: inputs, contenders, measurements and report.

``inputs`` makes the files (pictures: ``pictures``, encoders: ``encoding``). ``peers`` holds what a user would write
without this project, ``limit`` what the codecs and the disk could do at best. ``throughput``, ``memory``, ``latency``,
``planning`` and ``scaling`` each measure one thing and return plain values; ``results`` keeps them as JSON, ``tables``
and ``plots`` show them.
"""
