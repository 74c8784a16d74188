import { LuaPerRouteSchema, LuaSchema, type DataSource, type Lua, type LuaPerRoute } from "../../wire/envoy/index.ts";
import { LuaOverride, type LuaSettings } from "../filters/lua-filter.ts";
import { filterOff, type FilterSwitch } from "../filters/route-switch.ts";
import type { LuaScript } from "../filters/lua/index.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "./config-check.ts";

export function compileLua(message: Lua, where: string, notes: ConfigNotes): LuaSettings {
  checkFields(LuaSchema, message, where, notes, {
    used: ["inlineCode", "sourceCodes", "defaultSourceCode", "statPrefix", "clearRouteCache", "filterContext"],
  });
  const { scripts } = notes.services;
  if (message.inlineCode !== "" && message.defaultSourceCode !== undefined)
    throw invalid(where, "only one of inlineCode and defaultSourceCode may be set");
  const script =
    message.inlineCode !== ""
      ? scripts.compile(message.inlineCode, `${where}: inlineCode`)
      : message.defaultSourceCode === undefined
        ? undefined
        : compileSource(message.defaultSourceCode, `${where}: defaultSourceCode`, notes);
  const named = Object.entries(message.sourceCodes).map(
    ([name, source]) => [name, compileSource(source, `${where}: sourceCodes ${name}`, notes)] as const,
  );
  return {
    script,
    named: new Map(named),
    filterContext: message.filterContext,
    clearsRoute: message.clearRouteCache ?? true,
  };
}

export function compileLuaPerRoute(
  message: LuaPerRoute,
  where: string,
  notes: ConfigNotes,
): LuaOverride | FilterSwitch {
  checkFields(LuaPerRouteSchema, message, where, notes, {
    used: ["disabled", "name", "sourceCode", "filterContext"],
  });
  const { override } = message;
  switch (override.case) {
    case "disabled":
      if (!override.value) throw invalid(where, "disabled must be true if it is set");
      return filterOff;
    case "name":
      return new LuaOverride(override.value, message.filterContext);
    case "sourceCode":
      return new LuaOverride(compileSource(override.value, `${where}: sourceCode`, notes), message.filterContext);
    default:
      return new LuaOverride(undefined, message.filterContext);
  }
}

function compileSource({ specifier }: DataSource, where: string, notes: ConfigNotes): LuaScript {
  switch (specifier.case) {
    case "inlineString":
      return notes.services.scripts.compile(specifier.value, where);
    case "inlineBytes":
      return notes.services.scripts.compile(Buffer.from(specifier.value).toString(), where);
    default:
      throw unsupported(where, `a script from ${specifier.case ?? "nowhere"}; write it as inlineString`);
  }
}
