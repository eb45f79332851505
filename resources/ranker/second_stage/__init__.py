"""The second stage: candidates of the retrieval and of an item table, described, and put in order by boosted trees."""
