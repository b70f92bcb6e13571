-- Tests written as claims: `claim("what holds", function() ... end)`; the process fails at the end if one did not hold.

local claims = { failed = 0, held = 0 }

function claims.claim(name, check)
  local ok, reason = xpcall(check, debug.traceback)
  if ok then
    claims.held = claims.held + 1
  else
    claims.failed = claims.failed + 1
    io.stderr:write(("FAILED %s\n%s\n"):format(name, reason))
  end
end

function claims.equal(found, wanted, what)
  if found ~= wanted then
    error(("%s: found %s, wanted %s"):format(what or "value", tostring(found), tostring(wanted)), 2)
  end
end

function claims.finish()
  print(("%d passed, %d failed"):format(claims.held, claims.failed))
  os.exit(claims.failed == 0 and claims.held > 0)
end

-- The same stream of numbers in every run and every Lua.
function claims.random(seed)
  local state = seed
  return function(below)
    state = (state * 1103515245 + 12345) % 2147483648
    return (state >> 8) % below
  end
end

return claims
