local claims = require("claims")
local token = require("token")
local claim, equal = claims.claim, claims.equal

local NOW = 1700000000
local SID = "0191a9d0-0000-7000-8000-00000000000a"
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function encode(bytes)
  local text = bytes:gsub("..?.?", function(three)
    local a, b, c = three:byte(1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local out = ""
    for shift = 18, 18 - 6 * #three, -6 do
      local at = (bits >> shift & 63) + 1
      out = out .. ALPHABET:sub(at, at)
    end
    return out
  end)
  return text
end

local HEADER = '{"alg":"ES256","typ":"JWT","kid":"a"}'
local CLAIMS = ('{"uid":7,"sid":"%s","exp":%d,"iat":%d,"iss":"i","aud":"u"}'):format(SID, NOW + 60, NOW)
local SIGNATURE = ("\1"):rep(64)

local function make(header, body, signature)
  return encode(header or HEADER) .. "." .. encode(body or CLAIMS) .. "." .. encode(signature or SIGNATURE)
end

local function read(text, now)
  return token.read(text, {
    issuer = "i",
    audience = "u",
    now = now or NOW,
    find_key = function(kid)
      return ({ a = { alg = "ES256", signature_size = 64 }, h = { alg = "HS256", signature_size = 32 } })[kid]
    end,
  })
end

local function refused(text, wanted, now)
  local found, wrong = read(text, now)
  equal(found, nil, text)
  equal(wrong, wanted, text)
end

claim("a token of the right form is read, and its key is the kid's", function()
  local found = assert(read(make()))
  equal(found.identity.uid, 7)
  equal(found.identity.sid, SID)
  equal(found.identity.exp, NOW + 60)
  equal(found.identity.expired, false)
  equal(found.key.alg, "ES256")
end)

claim("it expires at exp, not a second later, and not before nbf", function()
  equal(read(make(), NOW + 59).identity.expired, false)
  equal(read(make(), NOW + 60).identity.expired, true)
  local later = make(nil, (CLAIMS:gsub("}$", ',"nbf":' .. NOW + 5 .. "}")))
  refused(later, "nbf", NOW + 4)
  equal(read(later, NOW + 5).identity.uid, 7)
end)

claim("each part that is wrong is named", function()
  local function header(changed)
    return make((HEADER:gsub("^{", "{" .. changed)))
  end
  local function claims_with(pattern, changed)
    local text, count = CLAIMS:gsub(pattern, changed)
    equal(count, 1, pattern)
    return make(nil, text)
  end
  refused(("a"):rep(4097), "size")
  refused("a.b", "form")
  refused(make() .. ".x", "form")
  refused(make() .. "=", "form")
  refused(make("x"), "header")
  refused(header('"crit":[],'), "header parameter")
  refused(make('{"alg":"ES256","typ":"jwt","kid":"a"}'), "typ")
  refused(make('{"alg":"ES256","kid":"../a"}'), "kid")
  refused(make('{"alg":"ES256"}'), "kid")
  refused(make('{"alg":"ES256","kid":"b"}'), "unknown kid")
  refused(make('{"alg":"none","kid":"a"}'), "alg")
  refused(make('{"alg":"HS256","kid":"a"}'), "alg")
  refused(make('{"kid":"a"}'), "alg")
  refused(make(nil, nil, ("\1"):rep(63)), "signature size")
  refused(make('{"alg":"HS256","kid":"h"}'), "signature size")
  refused(make(nil, "[]"), "claims")
  refused(claims_with('"iss":"i"', '"iss":"I"'), "iss")
  refused(claims_with('"aud":"u"', '"aud":["u"]'), "aud")
  refused(claims_with('"uid":7', '"uid":7.0'), "uid")
  refused(claims_with('"uid":7', '"uid":"7"'), "uid")
  refused(claims_with('"uid":7', '"uid":0'), "uid")
  refused(claims_with('"sid":"', '"sid":"x'), "sid")
  refused(claims_with("00000a", "00000A"), "sid")
  refused(claims_with('"exp":%d+', '"exp":null'), "exp")
  refused(claims_with('"iat":%d+', '"iat":1.5'), "iat")
end)

claim("a kid can't leave the directory of keys", function()
  for _, kid in ipairs({ "", ".", "..", ".a", "a/b", "/a", "a\\b", "a b", "a\0", "a\n", "é", ("a"):rep(65), 1, {} }) do
    equal(token.is_kid(kid), false, tostring(kid))
  end
  for _, kid in ipairs({ "a", "es-0a1b2c3d", "2026.11", "A_b", "-", ("a"):rep(64) }) do
    equal(token.is_kid(kid), true, kid)
  end
end)

claim("no change of one character leaves a token that reads as another one", function()
  local good, random = make(), claims.random(3)
  for at = 1, #good do
    for _ = 1, 8 do
      local text = good:sub(1, at - 1) .. string.char(random(256)) .. good:sub(at + 1)
      local found, wrong = read(text)
      assert(found or type(wrong) == "string")
    end
  end
end)

claims.finish()
