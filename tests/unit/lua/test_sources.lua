local claims = require("claims")
local sources = require("sources")
local claim, equal = claims.claim, claims.equal

local function request(changes)
  local made = { stream = true, query = "", authorization = {}, cookie = {}, origin = {}, host = { "h" }, protocols = {} }
  for name, value in pairs(changes) do
    made[name] = value
  end
  return made
end

local PLACES = {
  { authorization = { "Bearer t" } },
  { query = "a=1&access_token=t" },
  { protocols = { "feed.v1, bearer.t" } },
  { cookie = { "a=b; sf_access=t" } },
}

claim("a stream's token is found wherever it is", function()
  for _, place in ipairs(PLACES) do
    equal((sources.find(request(place))), "t")
  end
end)

claim("the api's token is found in Authorization alone", function()
  for index, place in ipairs(PLACES) do
    local made = request(place)
    made.stream = false
    local token, code = sources.find(made)
    equal(token, index == 1 and "t" or nil)
    equal(code, index ~= 1 and "token-missing" or nil)
  end
end)

claim("two explicit tokens are ambiguous, the cookie beside one is not looked at", function()
  for first = 1, 4 do
    for second = first + 1, 4 do
      local made = request(PLACES[first])
      for name, value in pairs(PLACES[second]) do
        made[name] = value
      end
      made.origin = { "http://elsewhere" }
      local token, code = sources.find(made)
      equal(code, second < 4 and "token-ambiguous" or nil)
      equal(token, second == 4 and "t" or nil)
    end
  end
end)

claim("nothing that remains holds the token, whatever it stands among", function()
  local random = claims.random(11)
  local parts = { "a=1", "access_token=SECRET", "access%5ftoken=SECRET", "%61ccess_token=SECRET", "b", "", "c=%26", "x=y=z" }
  for _ = 1, 2000 do
    local query = {}
    for at = 1, random(6) do
      query[at] = parts[random(#parts) + 1]
    end
    local found, rest = sources.split_query(table.concat(query, "&"))
    local count = select(2, table.concat(query, "&"):gsub("SECRET", ""))
    equal(#found, count)
    equal(rest:find("SECRET"), nil)
  end
end)

claim("a query without a token stays as it is, byte by byte", function()
  for _, query in ipairs({ "", "&", "a&&b", "a=1&b=2", "access_token2=x", "Access_token=x", "a=access_token", "=x" }) do
    local found, rest = sources.split_query(query)
    equal(#found, 0, query)
    equal(rest, query)
  end
end)

claim("an origin is this host or it is another one", function()
  local same = { { "http://h", "h" }, { "http://H:80", "h" }, { "https://h", "h:443" }, { "http://[::1]:8", "[::1]:8" } }
  local other = { { "http://h", "h:443" }, { "http://h.x", "h" }, { "http://x@h", "h" }, { "null", "null" }, { "h", "h" }, { "", "" } }
  for _, pair in ipairs(same) do
    equal(sources.is_same_origin({ pair[1] }, { pair[2] }), true, pair[1])
  end
  for _, pair in ipairs(other) do
    equal(sources.is_same_origin({ pair[1] }, { pair[2] }), false, pair[1])
  end
  equal(sources.is_same_origin({}, { "h" }), true)
  equal(sources.is_same_origin({ "http://h", "http://h" }, { "h" }), false)
  equal(sources.is_same_origin({ "http://h" }, {}), false)
end)

claims.finish()
