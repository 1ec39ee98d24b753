"""The API: what the dashboard shows, as JSON, CSV and lines, for programs inside the team.

In: requests under /api/1 of the dashboard's server. Out: answers whose form one document states
(OpenAPI 3.1), written from the same statements by which the answers are made. It reads the shelf
and writes nothing; what the pages withhold is withheld here. It knows no login.
"""
