-- add: store a batch that touches nothing stored, all or nothing, without the lock. Writes job, payload, edge, out,
-- tree, held, state:*, ready:*, ends, count, tally, mark, name, slots, meta.
-- After the common ones: the channel of who waits for work, how many words there are of rows and edges, these (see
-- `insert`), and commands. The last row is there if and only if the batch is.
local refused = refuse()
if refused then return refused end
local n = tonumber(ARGV[5])
local last = ARGV[4 + 3 * tonumber(ARGV[6])]

-- A job by itself, as most are: what `insert` would do, in fewer calls.
local function insert_alone(id, row, payload)
  local state, flags, _, _, _, _, _, lane, priority, _, root = struct.unpack('<BBI4I4I4ddI4i8HBc0', row)
  if state ~= 2 or flags ~= 0 then return false end
  if redis.call('HSETNX', prefix .. 'job', id, row) == 0 then return true end
  if payload ~= '' then redis.call('HSET', prefix .. 'payload', id, payload) end
  redis.call('ZADD', prefix .. 'state:ready', '0', id)
  redis.call('ZADD', prefix .. 'ready:' .. lane, -priority, root .. ' ' .. id)
  redis.call('HINCRBY', prefix .. 'count', lane .. ' ready', 1)
  return true
end

if #ARGV ~= 9 or not insert_alone(ARGV[7], ARGV[8], ARGV[9]) then
  if redis.call('HEXISTS', prefix .. 'job', last) == 1 then return {'done', 0} end
  if #ARGV == 5 + n then
    insert(ARGV, 6)
  else
    insert({unpack(ARGV, 6, 5 + n)}, 1)
    apply(ARGV, 6 + n)
  end
end
local written = redis.call('HINCRBY', KEYS[1], 'written', 1)
redis.call('PUBLISH', ARGV[4], '')
return {'done', written}
