"""Asking an OpenID provider who somebody is: discovery, authorization code with PKCE, and the checks of its answer."""
