"""Rents Novita GPU instances and looks after them."""

__version__ = "0.1.0"
