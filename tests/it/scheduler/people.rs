//! What a person does to schedules, and what a real Celery worker makes of them.
