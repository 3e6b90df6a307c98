-- hello: make the store if there is none, and say what it is. Writes meta.
-- After the common ones: the format, and a generation for a new store.
if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then
  redis.call('HSET', KEYS[1], 'generation', ARGV[5], 'format', ARGV[4], 'written', 0)
end
-- The first who arrives after a restart notes how much this run of the server began with: who has seen more knows
-- that writes were lost, however many came since. Deletion comes first: it is allowed when memory is short. A user
-- who may only read leaves this to others. Which run this is, only the server itself knows for sure: a caller may have
-- asked the one before.
local about = redis.pcall('INFO', 'server')
local run = type(about) == 'string' and string.match(about, 'run_id:(%w+)')
if run and redis.call('HGET', KEYS[1], 'run') ~= run then
  redis.pcall('HDEL', KEYS[1], 'began')
  redis.pcall('HSET', KEYS[1], 'run', run, 'began', redis.call('HGET', KEYS[1], 'written'))
end
return redis.call('HMGET', KEYS[1], 'generation', 'format', 'written', 'began', 'restored')
