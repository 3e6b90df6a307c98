-- stage: put aside a slice of a step that is too large for one script. Writes stage:TOKEN, lock.
-- After the common ones: token, milliseconds until the lock is anybody's, how many words are there already (if there are
-- more, this came before), and the slice: its length, and `rows` and what `insert` takes, or `rest` and commands.
local refused = refuse()
if refused then return refused end
local stage = prefix .. 'stage:' .. ARGV[4]
if redis.call('LLEN', stage) == tonumber(ARGV[6]) then
  for i = 7, #ARGV, 4000 do redis.call('RPUSH', stage, unpack(ARGV, i, math.min(i + 3999, #ARGV))) end
end
redis.call('PEXPIRE', stage, 60000)
if redis.call('GET', lock) == ARGV[4] then redis.call('PEXPIRE', lock, ARGV[5]) end
return {'done', 0}
