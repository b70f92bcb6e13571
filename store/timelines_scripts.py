"""What Redis does in one go for the timelines. One server, not a cluster: lists are named inside the scripts.

`timelines` is a hash: epoch and number of partitions of the topic, the generation of everything that is warm, and for each
partition the offset up to which the lists have been told. `turns` says whose turn each partition is: number, mark of the process.
The first member of every list is a blank and the generation that it was filled in.
"""

# ARGV: epoch, partitions, a new generation, our mark, then for each partition: its number, where we stand, our turn, and whether
# that is sure. Answers whether there is a new generation, and for each partition where the lists stand, or -1: it is not our turn.
# Lists that were told less than we stand at have missed something: a new generation makes them all unknown.
CLAIM = """
local bumped = 0
if redis.call('HGET', 'timelines', 'epoch') ~= ARGV[1] or redis.call('HGET', 'timelines', 'partitions') ~= ARGV[2] then
  redis.call('DEL', 'timelines', 'turns')
  redis.call('HSET', 'timelines', 'epoch', ARGV[1], 'partitions', ARGV[2])
  bumped = 1
end
local answer = {}
for i = 5, #ARGV, 4 do
  local partition, stand, turn, sure = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3] == '1'
  local owner = redis.call('HGET', 'turns', partition)
  local number, mark = string.match(owner or '0 ', '^(%d+) (.*)$')
  local theirs = tonumber(number) > turn or (tonumber(number) == turn and mark ~= ARGV[4])
  if theirs and not sure then
    answer[#answer + 1] = -1
  else
    redis.call('HSET', 'turns', partition, turn .. ' ' .. ARGV[4])
    local told = tonumber(redis.call('HGET', 'timelines', partition) or '-1')
    if theirs or told < tonumber(stand) then
      redis.call('HSET', 'timelines', partition, stand)
      told = tonumber(stand)
      bumped = 1
    end
    answer[#answer + 1] = told
  end
end
if bumped == 1 then redis.call('HSET', 'timelines', 'generation', ARGV[3]) end
table.insert(answer, 1, bumped)
return answer
"""
# ARGV: users. Voids fills of their feeds that are under way, and answers whose feeds are there.
WARM = """
local generation = redis.call('HGET', 'timelines', 'generation')
local warm = {}
for i = 1, #ARGV do
  redis.call('DEL', 'lease:feed:' .. ARGV[i])
  if generation and redis.call('ZRANGE', 'feed:' .. ARGV[i], 0, 0)[1] == ' ' .. generation then warm[#warm + 1] = ARGV[i] end
end
return warm
"""
# ARGV: partition, our turn and mark, longest length, a member, its author, then users. Adds to their feeds that are there, of those
# who are followers now: one who was when the list was read may have gone since, with a feed that was made anew. Answers -1 if it is
# not our turn any more, -2 if nobody knows who the followers are: then only the author's own feed was looked at.
PUSH = """
if redis.call('HGET', 'turns', ARGV[1]) ~= ARGV[2] then return -1 end
local generation = redis.call('HGET', 'timelines', 'generation')
if not generation then return 0 end
local start, followers, answer = ' ' .. generation, 'followers:' .. ARGV[5], 1
local known = redis.call('ZRANGE', followers, 0, 0)[1] == start
for i = 6, #ARGV do
  local key = 'feed:' .. ARGV[i]
  local reads = ARGV[i] == ARGV[5]
  if not reads then
    if known then reads = redis.call('ZSCORE', followers, ARGV[i]) else answer = -2 end
  end
  if reads and redis.call('ZRANGE', key, 0, 0)[1] == start then
    redis.call('ZADD', key, 0, ARGV[4])
    redis.call('ZREMRANGEBYRANK', key, 1, -ARGV[3] - 1)
  end
end
return answer
"""
# ARGV: for each partition: its number, our turn and mark, where we stood, where we stand. The lists have been told all in between.
TOLD = """
for i = 1, #ARGV, 4 do
  local told = tonumber(redis.call('HGET', 'timelines', ARGV[i]) or '-1')
  if redis.call('HGET', 'turns', ARGV[i]) ~= ARGV[i + 1] or told < tonumber(ARGV[i + 2]) then return 0 end
  if told < tonumber(ARGV[i + 3]) then redis.call('HSET', 'timelines', ARGV[i], ARGV[i + 3]) end
end
return 1
"""
# KEYS: a lease. ARGV: something unique, seconds. Answers the token, or nothing as long as no storekeeper has claimed the timelines.
LEASE = """
local generation = redis.call('HGET', 'timelines', 'generation')
if not generation then return false end
local token = generation .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], token, 'EX', ARGV[2])
return token
"""
# KEYS: the list, its lease. ARGV: the token, seconds to keep, then members. Fills the list if nothing has changed meanwhile.
FILL = """
local generation = redis.call('HGET', 'timelines', 'generation')
if not generation or redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if string.sub(ARGV[1], 1, #generation + 1) ~= generation .. ' ' then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZADD', KEYS[1], 0, ' ' .. generation)
for i = 3, #ARGV, 100 do
  local part = {}
  for j = i, math.min(i + 99, #ARGV) do part[#part + 1] = 0; part[#part + 1] = ARGV[j] end
  redis.call('ZADD', KEYS[1], unpack(part))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
# KEYS: where a user's last write is noted. ARGV: its order, its GTID, seconds. An earlier one never takes the place of a later one.
WROTE = """
local order = redis.call('HGET', KEYS[1], 'order')
if order and order > ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'order', ARGV[1], 'gtid', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
