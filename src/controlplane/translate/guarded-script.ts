/**
 * A script that loads the given one and that an Envoy always accepts. If the given script does not load, requests get
 * status 500, and each worker thread logs the reason at most once a minute.
 *
 * Without this script, an Envoy would reject the whole listener, which serves other namespaces too. Sending the
 * filter's configuration separately (ECDS) would not help. An Envoy stores such a configuration before it builds the
 * filter from it. Once it has rejected a script, it therefore also rejects each later version of the listener.
 */
export function guardedScript(code: string): string {
  // An Envoy reads a script only up to a zero byte, and so would miss the end of this one.
  const [read = ""] = code.split("\0", 1);
  const level = levelOf(read);
  return `local load, call, set, globals, typeOf, time = loadstring, pcall, rawset, _G, type, os.time
local script, fault = load([${level}[
${read}
]${level}])
local isLoaded = script ~= nil
if isLoaded then isLoaded, fault = call(script) end
if not isLoaded then
  local reason = typeOf(fault) == "string" and fault or "it raises an error that is no text"
  local toldAt = -${logIntervalSeconds}
  set(globals, "envoy_on_response", nil)
  set(globals, "envoy_on_request", function(handle)
    if time() - toldAt >= ${logIntervalSeconds} then
      toldAt = time()
      handle:logErr("the script does not load, so requests get 500: " .. reason)
    end
    handle:respond({[":status"] = "500"})
  end)
end
`;
}

const logIntervalSeconds = 60;

/**
 * Equals signs for the brackets around a text, so many that the text does not contain the closing bracket. There is at
 * least one, because in brackets without any, Lua 5.1 accepts no further opening bracket.
 */
function levelOf(text: string): string {
  let level = "=";
  while (text.includes(`]${level}]`)) level += "=";
  return level;
}
