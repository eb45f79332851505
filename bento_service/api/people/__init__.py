"""Routes about people: passwords that were forgotten, invitations, teams, second factors, the office."""
