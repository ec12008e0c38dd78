"""Crashes of whole machines' worth: processes, the database server, the disk, all under load."""
