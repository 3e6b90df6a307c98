"""Jobs in a Redis or Valkey server: one lock, steps that are applied at once by one script, nothing else shared."""

from ramify.stores.redis.store import Redis

__all__ = ["Redis"]
