-- The group that a task is a member of, where its worker tells it.
ALTER TABLE task ADD COLUMN group_id TEXT;
CREATE INDEX task_group ON task (group_id, n) WHERE group_id IS NOT NULL;
