-- @scenario conversations lose no message that was acknowledged; readers and two migrations run beside
-- Batches of messages with their tool uses through the store's queue, three in flight, analytics on
-- readers between them: store/conversation.h.
-- synchronous is not set: what is proved is the store's default profile, archival.
-- @models strict-posix process-crash
-- @pragma journal_mode=wal
-- @require durable
-- @redundant "dirsync db #2,6" "sync main.db-journal #1" "sync main.db-wal #1-5,7,11-14" if model=strict-posix
-- @redundant none if model=process-crash
-- @workload store.conversations conversations=2 messages=6 batch=2 in_flight=3
-- @schema-version 1,2,3,4
-- @invariant "every message has its conversation"
SELECT message FROM messages WHERE conversation NOT IN (SELECT conversation FROM conversations);
-- @invariant "positions are 1 to n without a hole"
SELECT conversation FROM messages GROUP BY conversation HAVING min(position) <> 1
    OR max(position) <> count(*) OR count(DISTINCT position) <> count(*);
-- @invariant "a conversation was last updated when its newest message says"
SELECT conversation_id FROM conversations WHERE last_updated_us <> max(created_us,
  coalesce((SELECT max(time_us) FROM messages
             WHERE messages.conversation = conversations.conversation), created_us));
-- @invariant "a message and its tool use come together"
SELECT message FROM messages
 WHERE position % 2 = 0 AND message NOT IN (SELECT message FROM tool_uses);
-- @invariant "every tool use has its message"
SELECT tool_use FROM tool_uses WHERE message NOT IN (SELECT message FROM messages);
-- @invariant "conversations know how many messages they have, once the store is at version 3"
SELECT conversation_id FROM conversations WHERE message_count <>
  (SELECT count(*) FROM messages WHERE messages.conversation = conversations.conversation);
