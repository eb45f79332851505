"""What benchmarks share: public data sets, the machine, a fresh installation. The benchmarks are in inner packages by
subject, one command each; nothing but the command imports them.
"""
