"""Decides what happens to an order, from placement to the end of its returns window.

Reads   orders, deliveries, erasure.commands    Writes  shipments, holds, erasure.receipts
Keeps   one row per order: stage, carrier, sealed basket, address and invoice
Opens   nothing: it passes an address on that it cannot read
Never   sends anything outside the platform, and never drops an invoice before the law allows
"""
