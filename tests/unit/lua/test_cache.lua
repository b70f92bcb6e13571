local cache = require("cache")
local claims = require("claims")
local claim, equal = claims.claim, claims.equal

claim("a text is found by its exact bytes and by nothing else", function()
  local kept = cache.open(10, 1000)
  kept.keep("abc", 1)
  equal(kept.find("abc"), 1)
  for _, other in ipairs({ "", "ab", "abcd", "Abc", "abc\0", " abc" }) do
    equal(kept.find(other), nil, other)
  end
end)

claim("what was dropped is gone, young or old", function()
  local kept = cache.open(4, 1000)
  for _, text in ipairs({ "a", "b", "c" }) do
    kept.keep(text, text)
  end
  kept.drop("a")
  kept.drop("c")
  equal(kept.find("a"), nil)
  equal(kept.find("b"), "b")
  equal(kept.find("c"), nil)
  kept.clear()
  equal(kept.find("b"), nil)
end)

local function found(kept, texts)
  local count = 0
  for _, text in ipairs(texts) do
    count = count + (kept.find(text) and 1 or 0)
  end
  return count
end

claim("there are never more entries than allowed, nor more bytes, and the last ones stay", function()
  for _, size in ipairs({ 1, 37, 499, 500 }) do
    local kept, texts = cache.open(100, 1000), {}
    for at = 1, 1000 do
      texts[at] = ("%04d"):format(at):rep(size):sub(1, math.max(size, 4))
      kept.keep(texts[at], true)
    end
    local most = math.min(100, 1000 // math.max(size, 4))
    equal(kept.find(texts[1000]), true)
    local still = found(kept, texts)
    assert(still <= most, ("%d of %d bytes each, %d allowed"):format(still, size, most))
  end
end)

claim("what is asked for again and again outlives what is not", function()
  local kept = cache.open(100, 100000)
  kept.keep("busy", true)
  for at = 1, 1000 do
    kept.keep("idle " .. at, true)
    equal(kept.find("busy"), true)
  end
  equal(kept.find("idle 1"), nil)
end)

claim("none at all may be kept, and nothing that is larger than half", function()
  local none, small = cache.open(0, 1000), cache.open(10, 1000)
  none.keep("a", true)
  small.keep(("a"):rep(501), true)
  equal(none.find("a"), nil)
  equal(small.find(("a"):rep(501)), nil)
end)

claims.finish()
