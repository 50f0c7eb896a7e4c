-- @scenario planted defect: a message is counted by a transaction of its own
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant count-later
-- @workload store.conversations conversations=2 messages=2 batch=2 in_flight=2 migrate=0
-- @invariant "conversations know how many messages they have"
SELECT conversation_id FROM conversations WHERE message_count <>
  (SELECT count(*) FROM messages WHERE messages.conversation = conversations.conversation);
