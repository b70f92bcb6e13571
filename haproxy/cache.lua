-- Tokens that were verified a moment ago, so that a storm of reconnects costs look-ups and not signatures; it names nothing
-- of HAProxy.
--
-- A token is found by its exact bytes or not at all. What is kept may be forgotten at any time, and says nothing of whether
-- it still holds: the caller looks at times and key again. Only who holds a signed token can put one in, so nobody can choose
-- bytes that meet in the table. A hook that is set aside between any two lines here loses entries at worst.

local cache = {}

-- Keeps at most so many tokens, of so many bytes in all. Two halves: when the young one is full it becomes the old one and
-- the old one goes, in one step; what is found in the old one is young again.
function cache.open(most, most_bytes)
  local young, old, count, bytes = {}, {}, 0, 0
  local kept = {}

  function kept.keep(text, value)
    if #text > most_bytes // 2 or most < 2 then
      return
    end
    if count >= most // 2 or bytes + #text > most_bytes // 2 then
      old, young, count, bytes = young, {}, 0, 0
    end
    young[text] = value
    count, bytes = count + 1, bytes + #text
  end

  function kept.find(text)
    local value = young[text]
    if value == nil and old[text] ~= nil then
      value = old[text]
      kept.keep(text, value)
    end
    return value
  end

  function kept.drop(text)
    young[text], old[text] = nil, nil
  end

  function kept.clear()
    young, old, count, bytes = {}, {}, 0, 0
  end

  -- How many are young: the operator's measure of use, half of `most` at most.
  function kept.size()
    return count
  end

  return kept
end

return cache
