"""What a shop is served by default, on data sets of many shapes: against tuned baselines, and with one set left out."""
