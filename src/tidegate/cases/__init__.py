"""Cases: incidents with age, reason and owner; and the log of what operators did."""
