-- lane: give lanes their numbers. Writes lane, meta. After the common ones: the lanes, as text.
local refused = refuse()
if refused then return refused end
for i = 4, #ARGV do
  if redis.call('HEXISTS', prefix .. 'lane', ARGV[i]) == 0 then
    redis.call('HSET', prefix .. 'lane', ARGV[i], redis.call('HINCRBY', KEYS[1], 'lanes', 1))
  end
end
return {'done', redis.call('HGETALL', prefix .. 'lane')}
