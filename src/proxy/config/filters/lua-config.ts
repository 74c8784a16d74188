import {
  LuaPerRouteSchema,
  LuaSchema,
  type DataSource,
  type Lua,
  type LuaPerRoute,
} from "../../../wire/envoy/index.ts";
import { LuaOverride, type LuaSettings } from "../../filters/lua-filter.ts";
import { filterOff, type FilterSwitch } from "../../filters/route-switch.ts";
import type { LuaScript } from "../../filters/lua/index.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";

/**
 * Compiles a Lua filter. With `mayFail`, a default script that does not load is accepted. Otherwise such a script
 * throws.
 */
export function compileLua(message: Lua, where: string, notes: ConfigNotes, mayFail: boolean): LuaSettings {
  checkFields(LuaSchema, message, where, notes, {
    used: ["inlineCode", "sourceCodes", "defaultSourceCode", "statPrefix", "clearRouteCache", "filterContext"],
  });
  if (message.inlineCode !== "" && message.defaultSourceCode !== undefined)
    throw invalid(where, "only one of inlineCode and defaultSourceCode may be set");
  const { scripts } = notes.services;
  const [field, source] =
    message.inlineCode !== ""
      ? ["inlineCode", message.inlineCode]
      : [
          "defaultSourceCode",
          message.defaultSourceCode && sourceOf(message.defaultSourceCode, `${where}: defaultSourceCode`),
        ];
  const at = `${where}: ${field}`;
  const load = (text: string) => (mayFail ? scripts.optional(text, at) : scripts.compile(text, at));
  const named = Object.entries(message.sourceCodes).map(
    ([name, source]) => [name, compileSource(source, `${where}: sourceCodes ${name}`, notes)] as const,
  );
  return {
    script: source === undefined ? undefined : load(source),
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

function compileSource(source: DataSource, where: string, notes: ConfigNotes): LuaScript {
  return notes.services.scripts.compile(sourceOf(source, where), where);
}

function sourceOf({ specifier }: DataSource, where: string): string {
  switch (specifier.case) {
    case "inlineString":
      return specifier.value;
    case "inlineBytes":
      return Buffer.from(specifier.value).toString();
    default:
      throw unsupported(where, `a script from ${specifier.case ?? "nowhere"}; write it as inlineString`);
  }
}
