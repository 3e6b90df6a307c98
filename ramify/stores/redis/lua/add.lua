-- add: store a batch that touches nothing stored, all or nothing, without the lock. Writes job, payload, edge, out,
-- tree, held, state:*, ready:*, mark, name, count, meta.
-- After the common ones: the id of its last row, the channel of who waits for work, and commands.
local refused = refuse()
if refused then return refused end
if redis.call('HEXISTS', prefix .. 'job', ARGV[4]) == 1 then return {'done', 0} end
apply(6)
local written = redis.call('HINCRBY', KEYS[1], 'written', 1)
redis.call('PUBLISH', ARGV[5], '')
return {'done', written}
