"""The whole service and its counterparties in one process, on one event loop and simulated time.

loop, network             time that jumps, connections that carry bytes; nothing real in either
party                     who runs what, and what ``kill -9`` means here
plan, drawing             what happens in a run: orders, sales, faults; drawn from the seed
service, world            the node that is killed and started again; the companies around it
buyers, orders            who drives it: people who pay by card, the aggregator's orders
trace                     what happened, and the digest that says whether it happened again
watch                     what must hold after every commit
evidence, companies       what is judged: the node's rows, and the others' own books
invariants                what must be true in the end; invariants_cards for payments
run, shrinking, report    one seed; the least that still fails; many seeds at once

Imported by the command line and by tests alone.
"""
