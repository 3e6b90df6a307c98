-- commit: apply all that a step writes, or nothing if its lock is another's by now. Writes all.
-- After the common ones: token, and commands.
local refused = refuse()
if refused then return refused end
if not holds(ARGV[4]) then
  return {redis.call('LPOS', prefix .. 'did', ARGV[4]) and 'done' or 'late', 0}
end
apply(ARGV, 5)
local written = write_down(ARGV[4])
pass_on()
return {'done', written}
