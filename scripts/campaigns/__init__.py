"""Campaigns that try to break what is promised, each a command of ``scripts/campaign``; README.md lists them."""
