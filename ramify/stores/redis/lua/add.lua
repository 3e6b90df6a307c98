-- add: store a batch that touches nothing stored, all or nothing, without the lock. Writes job, payload, edge, out,
-- tree, held, state:*, ready:*, ends, count, tally, mark, name, slots, meta.
-- After the common ones: the id of its last row, the channel of who waits for work, how many words there are of rows and
-- edges, these (see `insert`), and commands.
local refused = refuse()
if refused then return refused end
if redis.call('HEXISTS', prefix .. 'job', ARGV[4]) == 1 then return {'done', 0} end
local n = tonumber(ARGV[6])
if n == 4 and #ARGV == 10 then -- one row, as most are
  insert(ARGV, 7)
else
  local words, rest = {unpack(ARGV, 7, 6 + n)}, {unpack(ARGV, 7 + n)}
  insert(words, 1)
  apply(rest, 1)
end
local written = redis.call('HINCRBY', KEYS[1], 'written', 1)
redis.call('PUBLISH', ARGV[5], '')
return {'done', written}
