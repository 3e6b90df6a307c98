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
local function apply(i)
  while i <= #ARGV do
    local n = tonumber(ARGV[i])
    ARGV[i + 2] = prefix .. ARGV[i + 2]
    redis.call(unpack(ARGV, i + 1, i + n))
    i = i + n + 1
  end
end
