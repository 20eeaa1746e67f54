"""Campaigns: any number of simulated exits over all cores, with coverage, report and fuzz."""
