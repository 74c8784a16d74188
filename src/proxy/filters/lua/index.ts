// The Lua scripts of EnvoyFilters.
export { ScriptRequest, ScriptResponse } from "./lua-message.ts";
export { LuaLoadFailure, LuaScripts, OptionalScript, type LuaScript } from "./lua-script.ts";
