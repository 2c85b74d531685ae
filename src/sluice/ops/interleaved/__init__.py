"""Operators on documents: texts and images in an order that carries meaning."""
