"""A server with OpenAI's interface: requests come and go in one batch. Needs ``anydraft[serve]``."""
