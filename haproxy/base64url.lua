-- Strict base64url (RFC 4648 section 5, no padding, RFC 7515); it names nothing of HAProxy.

local base64url = {}

local VALUES = {}
for value, char in utf8.codes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") do
  VALUES[char] = value - 1
end

-- The bytes, or nil. One text for one value: padding, line breaks, foreign characters and unused bits that are not zero
-- are refused, so nobody can write the same token twice.
function base64url.decode(text)
  local rest = #text % 4
  if rest == 1 or text:find("[^A-Za-z0-9_-]") then
    return nil
  end
  local parts = {}
  for at = 1, #text - rest, 4 do
    local a, b, c, d = text:byte(at, at + 3)
    local bits = VALUES[a] << 18 | VALUES[b] << 12 | VALUES[c] << 6 | VALUES[d]
    parts[#parts + 1] = string.char(bits >> 16, bits >> 8 & 255, bits & 255)
  end
  if rest == 2 then
    local a, b = text:byte(-2, -1)
    if VALUES[b] & 15 ~= 0 then
      return nil
    end
    parts[#parts + 1] = string.char(VALUES[a] << 2 | VALUES[b] >> 4)
  elseif rest == 3 then
    local a, b, c = text:byte(-3, -1)
    if VALUES[c] & 3 ~= 0 then
      return nil
    end
    local bits = VALUES[a] << 10 | VALUES[b] << 4 | VALUES[c] >> 2
    parts[#parts + 1] = string.char(bits >> 8, bits & 255)
  end
  return table.concat(parts)
end

return base64url
