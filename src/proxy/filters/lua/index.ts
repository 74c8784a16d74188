// The Lua scripts of EnvoyFilters.
export { ScriptRequest, ScriptResponse } from "./lua-message.ts";
export { LuaLoadFailure, LuaScripts, type LuaScript } from "./lua-script.ts";
