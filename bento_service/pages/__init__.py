"""What all web pages of ours share: who is logged in by a cookie, headers, forged requests, forms, templates, files."""
