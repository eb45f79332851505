"""Commands about an installation: start it, try it, check it, document it. May import other commands and platform."""
