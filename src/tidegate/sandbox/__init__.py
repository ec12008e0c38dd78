"""The other companies, played locally: an aggregator, a bank (Lenco v1) and a card processor.

Each is a small server of its own, written from its contract alone and sharing nothing with the
service but :mod:`tidegate.clock`, so that a misreading on our side cannot be repeated on theirs.
:mod:`tidegate.sandbox.faults` lists what may go wrong at each of them.
"""
