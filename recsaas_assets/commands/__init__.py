"""What the commands of `recsaas` share: the installation they work on, how they speak to people and to scripts. The
commands are in inner packages by subject; each is imported when it is called.
"""
