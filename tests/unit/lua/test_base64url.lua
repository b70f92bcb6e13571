local base64url = require("base64url")
local claims = require("claims")
local claim, equal = claims.claim, claims.equal

claim("the vectors of RFC 4648 come out, without their padding", function()
  local vectors = { [""] = "", Zg = "f", Zm8 = "fo", Zm9v = "foo", Zm9vYg = "foob", Zm9vYmE = "fooba", Zm9vYmFy = "foobar" }
  for text, bytes in pairs(vectors) do
    equal(base64url.decode(text), bytes, text)
  end
  equal(base64url.decode("-_-_"), "\xfb\xff\xbf")
end)

claim("padding, foreign characters and impossible lengths are refused", function()
  for _, text in ipairs({ "Zg==", "Zg=", "Z", "Zm9vY", "+/+/", "Zm 9", "Zm9\n", "Zm9\0", "Zm9.", "Zé" }) do
    equal(base64url.decode(text), nil, text)
  end
end)

claim("a value is written in one way only", function()
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  local ways = 0
  for char in alphabet:gmatch(".") do
    ways = ways + (base64url.decode("A" .. char) == "\0" and 1 or 0)
  end
  equal(ways, 1)
  equal(base64url.decode("Zh"), nil)
  equal(base64url.decode("Zm9"), nil)
end)

claims.finish()
