"""Gives carriers what their agreement allows, under a reference of its own, and takes back what they report.

Reads   shipments, deliveries, erasure.commands, partner.*.updates
Writes  partner.*.shipments, deliveries, erasure.receipts
Keeps   partners, their keys and agreements; per shipment its state, its reference and whether the partner's copy
        was revoked and acknowledged; the sealed address only while a shipment is held back
Opens   the recipient (logistics) for delivery, at the moment of publishing, for the partner's eyes
Never   sends without a valid agreement, nor more than its fields; no subject and no order id leave the platform
"""
