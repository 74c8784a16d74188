/** A value that scripts and the proxy exchange. Texts have one character for each byte. */
export type LuaValue = undefined | boolean | number | string | LuaTable;

export type LuaTable = ReadonlyMap<LuaKey, LuaValue>;
export type LuaKey = string | number | boolean;

const maxDepth = 32;

/** Converts a JSON value, such as metadata, for a script. */
export function luaOfJson(value: unknown, depth = 0): LuaValue {
  if (typeof value === "string") return Buffer.from(value).toString("latin1");
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (value === null || typeof value !== "object" || depth >= maxDepth) return undefined;
  if (Array.isArray(value)) return new Map(value.map((item, index) => [index + 1, luaOfJson(item, depth + 1)]));
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
  return new Map(entries.map(([key, item]) => [Buffer.from(key).toString("latin1"), luaOfJson(item, depth + 1)]));
}

/** Converts a script's value to JSON. A table with the keys 1, 2, 3 … becomes a list. */
export function jsonOfLua(value: LuaValue): unknown {
  if (typeof value === "string") return Buffer.from(value, "latin1").toString();
  if (!(value instanceof Map)) return value ?? null;
  const table = value as LuaTable;
  const isList = table.size > 0 && [...table.keys()].every((_, index) => table.has(index + 1));
  if (isList) return [...table.keys()].map((_, index) => jsonOfLua(table.get(index + 1)));
  return Object.fromEntries(
    [...table].map(([key, item]) => [Buffer.from(String(key), "latin1").toString(), jsonOfLua(item)]),
  );
}

/** Reads a table of headers. A value is a text or a list of texts. */
export function fieldsOfTable(table: LuaTable): [name: string, value: string][] {
  const fields: [string, string][] = [];
  for (const [key, value] of table) {
    const name = String(key).toLowerCase();
    for (const element of value instanceof Map ? (value as LuaTable).values() : [value])
      if (typeof element === "string" || typeof element === "number") fields.push([name, String(element)]);
      else throw new Error(`the value of the header ${name} must be a string or a table of strings`);
  }
  return fields;
}

/** A string or number as text. Other values give an empty text. */
export function textOf(value: LuaValue): string {
  return typeof value === "string" || typeof value === "number" ? `${value}` : "";
}

/** The characters of all texts in a value, and one for each other entry. */
export function sizeOf(value: LuaValue): number {
  if (typeof value === "string") return value.length;
  if (!(value instanceof Map)) return 1;
  return [...(value as LuaTable)].reduce((sum, [key, item]) => sum + sizeOf(key) + sizeOf(item), 1);
}

/** The numbers of Lua's types of values, as `lua_type` returns them. */
export const luaTypes = { nil: 0, boolean: 1, number: 3, string: 4, table: 5 } as const;
