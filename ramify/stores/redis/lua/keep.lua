-- keep: a step that takes long is still on its way. Writes lock.
-- After the common ones: token, and milliseconds until the lock is anybody's.
if redis.call('GET', lock) == ARGV[4] then redis.call('PEXPIRE', lock, ARGV[5]) end
return {'done'}
