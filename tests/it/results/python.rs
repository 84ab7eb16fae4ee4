//! Celery reads our results from Redis, and we read its.
