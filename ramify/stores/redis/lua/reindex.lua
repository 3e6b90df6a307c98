-- reindex: put indexes right, if nothing was written since they were read. Writes all indexes and counts, meta.
-- After the common ones: token, and commands. The lock keeps out steps; additions take none, so the number tells.
local refused = refuse()
if refused then return refused end
if redis.call('GET', lock) ~= ARGV[4] or redis.call('HGET', KEYS[1], 'written') ~= ARGV[3] then return {'late', 0} end
apply(ARGV, 5)
return {'done', redis.call('HINCRBY', KEYS[1], 'written', 1)}
