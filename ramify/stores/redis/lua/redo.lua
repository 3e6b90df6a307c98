-- redo: do a slice of what was decided. Writes all. After the common ones: token, and milliseconds until the lock is
-- anybody's.
local refused = refuse()
if refused then return refused end
if redis.call('GET', lock) ~= ARGV[4] then return {'late', 0} end
redis.call('PEXPIRE', lock, ARGV[5])
local redo = prefix .. 'redo'
local n = redis.call('LINDEX', redo, 0)
if n then
  local words = redis.call('LRANGE', redo, 1, n)
  if words[1] == 'rows' then insert(words, 2) else apply(words, 2) end
  redis.call('LTRIM', redo, n + 1, -1)
end
return {'done', redis.call('LLEN', redo)}
