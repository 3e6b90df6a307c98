-- redo: do a slice of what was decided. Writes all.
-- After the common ones: token, milliseconds until the lock is anybody's, and about how many words.
local refused = refuse()
if refused then return refused end
if redis.call('GET', lock) ~= ARGV[4] then return {'late', 0} end
redis.call('PEXPIRE', lock, ARGV[5])
local redo, left = prefix .. 'redo', tonumber(ARGV[6])
while left > 0 do
  local n = tonumber(redis.call('LINDEX', redo, 0) or 0)
  if n == 0 then break end
  local command = redis.call('LRANGE', redo, 1, n)
  command[2] = prefix .. command[2]
  redis.call(unpack(command))
  redis.call('LTRIM', redo, n + 1, -1)
  left = left - n
end
return {'done', redis.call('LLEN', redo)}
