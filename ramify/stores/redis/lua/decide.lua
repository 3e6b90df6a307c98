-- decide: what was put aside is to be done, whoever does it. Writes redo, did, meta and what is counted.
-- After the common ones: token, how many words were put aside, and commands that may be done once only.
local refused = refuse()
if refused then return refused end
if not holds(ARGV[4]) then
  return {redis.call('LPOS', prefix .. 'did', ARGV[4]) and 'done' or 'late', 0}
end
if redis.call('LPOS', prefix .. 'did', ARGV[4]) then return {'done', 0} end
if redis.call('LLEN', prefix .. 'stage:' .. ARGV[4]) ~= tonumber(ARGV[5]) then return {'short', 0} end
redis.call('SET', lock, ARGV[4], 'PX', 5000)
redis.call('RENAME', prefix .. 'stage:' .. ARGV[4], prefix .. 'redo')
redis.call('PERSIST', prefix .. 'redo')
apply(ARGV, 6)
return {'done', write_down(ARGV[4])}
