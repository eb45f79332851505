"""The offline program: the Dagster graph that turns uploads into releases, the models, the benchmarks, and the
`recsaas` command. May import `resources`, and nothing of the service.
"""
