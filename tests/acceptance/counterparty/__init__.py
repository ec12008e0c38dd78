"""Aggregator and bank as small servers, written from the wire contracts and nothing else.

They share no code with the service: what both sides would get wrong together shows here.
"""
