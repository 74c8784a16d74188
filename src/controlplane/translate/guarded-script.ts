/**
 * A script that loads the given one and that an Envoy always accepts. If the given script does not load, requests get
 * status 500, and each worker thread logs the reason at most once a minute.
 *
 * Without this script, an Envoy would reject the whole listener, which serves other namespaces too. Sending the
 * filter's configuration separately (ECDS) would not help. An Envoy stores such a configuration before it builds the
 * filter from it. Once it has rejected a script, it therefore also rejects each later version of the listener.
 */
export function guardedScript(code: string): string {
  // Cut the script at a zero byte, because an Envoy reads no further and would miss the end of the text.
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
 * The equals signs between the brackets around a text, so that the text has no closing bracket of its own. Between
 * brackets without an equals sign, Lua 5.1 does not accept another opening bracket.
 */
function levelOf(text: string): string {
  let level = "=";
  while (text.includes(`]${level}]`)) level += "=";
  return level;
}
