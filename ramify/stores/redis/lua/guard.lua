-- Stands before every script. KEYS[1] is the hash `meta`, which names the slot; ARGV begins with the prefix of all
-- keys, the generation of the store that the caller knows, and the highest write number it has seen.
-- Keys: meta, lock, line, turn:TOKEN.
local prefix = ARGV[1]
local lock, line = prefix .. 'lock', prefix .. 'line'

-- A server that was restored or that took over from another may have forgotten what we saw.
local function refuse()
  local meta = redis.call('HMGET', KEYS[1], 'generation', 'written')
  if meta[1] ~= ARGV[2] then return {'generation'} end
  if tonumber(meta[2]) < tonumber(ARGV[3]) then return {'behind'} end
end

-- Tell whether the step of this token may still end: it has the lock, or was slow, and nobody came in between.
local function holds(token)
  local holder = redis.call('GET', lock)
  return holder == token or (not holder and redis.call('HGET', KEYS[1], 'written') == ARGV[3])
end

-- Give the lock to who waits longest; it is kept for it a moment.
local function pass_on()
  redis.call('DEL', lock)
  local next = redis.call('ZPOPMIN', line)[1]
  if next then
    redis.call('SET', lock, 'for ' .. next, 'PX', 250)
    redis.call('LPUSH', prefix .. 'turn:' .. next, 1)
    redis.call('PEXPIRE', prefix .. 'turn:' .. next, 2000)
  end
end

local function write_down(token)
  redis.call('LPUSH', prefix .. 'did', token)
  redis.call('LTRIM', prefix .. 'did', 0, 999)
  return redis.call('HINCRBY', KEYS[1], 'written', 1)
end

-- Apply commands: each is the number of its words, and these; the second word is a key without the prefix.
local function apply(words, i)
  while i <= #words do
    local n = tonumber(words[i])
    words[i + 2] = prefix .. words[i + 2]
    redis.call(unpack(words, i + 1, i + n))
    i = i + n + 1
  end
end

-- Give a command all these words, not too many at once.
local function do_all(command, key, words)
  for i = 1, #words, 4000 do
    redis.call(command, prefix .. key, unpack(words, i, math.min(i + 3999, #words)))
  end
end

-- Insert new rows and edges: the number of rows, and each as id, row (empty: that of the one before) and payload; then
-- edges as place and edge. Where a row stands in the indexes follows from it, but for what `insert.py` adds as commands.
-- `records.py` tells what is where.
local function insert(words, i)
  local n = tonumber(words[i])
  local jobs, payloads, tree, states, lanes, ends, counts, open = {}, {}, {}, {[0] = {}, {}, {}}, {}, {}, {}, {}
  local row, root, below, same, line, score, name
  for at = i + 1, i + 3 * n, 3 do
    local id = words[at]
    if words[at + 1] ~= '' then
      row, line, score = words[at + 1], nil, '0'
      local state, flags, _, bads, _, _, _, lane, priority, _, tree_id = struct.unpack('<BBI4I4I4ddI4i8HBc0', row)
      root, below, same = tree_id, flags % 32 >= 16, states[state]
      local shown = state == 0 and 'held' or state == 1 and 'waiting' or 'ready'
      if state == 2 and (flags % 2 == 1 or bads > 0) then
        shown, line = 'ends', ends
      elseif state == 2 then
        if not lanes[lane] then lanes[lane] = {} end
        line, score = lanes[lane], -priority
      end
      name = lane .. ' ' .. shown
    end
    jobs[#jobs + 1], jobs[#jobs + 2] = id, row
    if words[at + 2] ~= '' then payloads[#payloads + 1], payloads[#payloads + 2] = id, words[at + 2] end
    local member = root .. ' ' .. id
    if below then
      tree[#tree + 1], tree[#tree + 2] = '0', member
      open[root] = (open[root] or 0) + 1
    end
    same[#same + 1], same[#same + 2] = '0', id
    if line then line[#line + 1], line[#line + 2] = score, member end
    counts[name] = (counts[name] or 0) + 1
  end
  do_all('HSET', 'job', jobs)
  do_all('HSET', 'payload', payloads)
  do_all('ZADD', 'tree', tree)
  do_all('ZADD', 'ends', ends)
  for number, state in pairs({[0] = 'held', 'waiting', 'ready'}) do do_all('ZADD', 'state:' .. state, states[number]) end
  for lane, line in pairs(lanes) do do_all('ZADD', 'ready:' .. lane, line) end
  for name, new in pairs(counts) do redis.call('HINCRBY', prefix .. 'count', name, new) end
  for root, new in pairs(open) do redis.call('HINCRBY', prefix .. 'tally', 'open ' .. root, new) end
  local edges, out = {}, {}
  for at = i + 3 * n + 1, #words, 2 do
    local place, edge = words[at], words[at + 1]
    edges[#edges + 1], edges[#edges + 2] = place, edge
    out[#out + 1], out[#out + 2] = '0', string.match(edge, '^..(%S+)') .. ' ' .. place
  end
  do_all('HSET', 'edge', edges)
  do_all('ZADD', 'out', out)
end
