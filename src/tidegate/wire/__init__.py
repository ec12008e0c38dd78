"""Our side of the aggregator protocol, without I/O.

``canonical``  bytes <-> JSON that keeps number tokens; Go's and Python's canonical forms
``signature``  signing and verifying; ``explain`` tells why a signature fails
``inbound``    what the aggregator sends, and what we answer
``outbound``   the bodies we send; ``answers`` reads the replies; ``verdicts`` says what they mean
``address``    where to send them
"""
