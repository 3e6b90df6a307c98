-- restored: writes that somebody saw are gone, so all sessions are over. Writes meta, lease, dead, lock, line.
-- After the common ones: the new generation. Who comes second finds it done.
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[2] then return 0 end
redis.call('DEL', lock, line) -- first: deletion is allowed when memory is short
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'restored', time[1])
redis.call('HINCRBY', KEYS[1], 'written', 1)
for _, session in ipairs(redis.call('ZRANGE', prefix .. 'lease', 0, -1)) do
  redis.call('ZADD', prefix .. 'dead', 0, session)
end
redis.call('DEL', prefix .. 'lease')
return 1
