"""Stripe. ``adapter`` is the port, made of ``customers`` and ``payments``; ``client`` is the
official SDK over our connections, ``outcomes`` says how a call ended, ``reading`` what an object
means, ``listing`` looks through lists, ``amounts`` converts units, ``actions`` is what a client
must do, ``webhooks`` authenticates and reads events.

Nothing is imported here: the settings ask ``amounts`` about currencies, without the SDK."""
