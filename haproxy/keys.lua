-- The public keys by kid, read from a directory when a token first names them; it names nothing of HAProxy.
--
-- The algorithm belongs to the key: a P-256 key is ES256, an RSA key RS256, a file `<kid>.hs256` is a secret for HS256.
-- A file put into the directory counts at once, one taken away counts RECHECK seconds longer at most: that is how keys
-- rotate without a reload. What a kid means never changes: a file with other bytes than at first is refused.

local keys = {}

keys.RECHECK = 5
local MAX_FILE = 8192

local DECODE = {}
for value, char in utf8.codes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") do
  DECODE[char] = value - 1
end

local function decode_base64(text)
  local bits, held, bytes = 0, 0, {}
  for at = 1, #text do
    local value = DECODE[text:byte(at)]
    if not value then
      return nil
    end
    bits, held = (bits << 6 | value) & 0xFFFF, held + 6
    if held >= 8 then
      held = held - 8
      bytes[#bytes + 1] = string.char(bits >> held & 255)
    end
  end
  return table.concat(bytes)
end

-- SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480): always these 27 bytes and the point.
local P256 = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
-- rsaEncryption with NULL parameters (RFC 3279) and the BIT STRING's tag: bytes 5 to 21; lengths of two bytes: 2048 bits and up.
local RSA = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82"

-- The algorithm and the signature's size in bytes that go with a public key in PEM, or nil if it is none of ours.
function keys.classify(pem)
  local body = pem:match("^%s*%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-([%w+/=%s]+)%-%-%-%-%-END PUBLIC KEY%-%-%-%-%-%s*$")
  local der = body and decode_base64((body:gsub("%s", ""):gsub("=+$", "")))
  if not der then
    return nil
  end
  if #der == 91 and der:sub(1, #P256) == P256 then
    return "ES256", 64
  end
  -- Then come the BIT STRING's length, SEQUENCE and the modulus, an INTEGER led by a zero byte.
  local is_rsa = der:sub(5, 21) == RSA and der:sub(24, 26) == "\0\x30\x82" and der:sub(29, 30) == "\x02\x82"
  local modulus = is_rsa and #der > 33 and string.unpack(">I2", der, 31) - 1
  if modulus and modulus >= 256 and modulus <= 1024 then
    return "RS256", modulus
  end
  return nil
end

local function read_key(directory, kid, read_file)
  local path = directory .. "/" .. kid .. ".pem"
  local text = read_file(path, MAX_FILE)
  if text then
    local alg, size = keys.classify(text)
    return alg and { kid = kid, alg = alg, signature_size = size, path = path, text = text }
  end
  text = read_file(directory .. "/" .. kid .. ".hs256", MAX_FILE)
  local secret = text and text:gsub("[\r\n]+$", "")
  -- RFC 7518 section 3.2: a secret is at least as long as the hash. A zero byte would cut it short on some versions.
  if secret and #secret >= 32 and not secret:find("\0", 1, true) then
    return { kid = kid, alg = "HS256", signature_size = 32, secret = secret, text = text }
  end
  return nil
end

-- read_file(path, most) -> text or nil. The ring's find(kid, now) -> {kid, alg, signature_size, path|secret} or nil, the same
-- table for as long as the file says the same; kid must have passed token.is_kid. Memory is bounded by the files there
-- are: a kid without a file leaves no trace.
function keys.open(directory, read_file)
  local known, first = {}, {}
  local ring = {}

  function ring.find(kid, now)
    local key = known[kid]
    if key and now < key.checked + keys.RECHECK and now >= key.checked then
      return key
    end
    local read = read_key(directory, kid, read_file)
    if read and first[kid] and first[kid] ~= read.text then
      read = nil
    end
    if not (read and key and key.text == read.text) then
      key = read
    end
    known[kid] = key
    if key then
      first[kid], key.checked = key.text, now
    end
    return key
  end

  -- Looks at every file again, now, and returns the keys that count, by kid.
  function ring.read_again(now)
    local names = {}
    for kid, key in pairs(known) do
      key.checked = now + keys.RECHECK
      names[#names + 1] = kid
    end
    table.sort(names)
    local found = {}
    for _, kid in ipairs(names) do
      found[#found + 1] = ring.find(kid, now)
    end
    return found
  end

  return ring
end

return keys
