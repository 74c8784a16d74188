import type { LuaMachine } from "./lua-machine.ts";
import { luaTypes, type LuaKey, type LuaTable, type LuaValue } from "./lua-value.ts";

const maxTableDepth = 32;
/** The number of entries of all tables that a script passes at once. A table that occurs twice counts twice. */
const maxEntries = 100_000;
/** The characters of all texts that a script passes at once. A text that occurs twice counts twice. */
const maxCharacters = 64 * 1024 * 1024;

export class TooManyValues extends Error {}

export class LuaStack {
  readonly #machine: LuaMachine;
  #entries = 0;
  #characters = 0;
  /** The characters that have passed in both directions. */
  moved = 0;

  constructor(machine: LuaMachine) {
    this.#machine = machine;
  }

  /**
   * Removes all values of the stack, and returns those from an index on. Throws {@link TooManyValues} beyond the
   * limits. Tables that contain each other multiply, so a script of a few bytes could otherwise pass gigabytes.
   */
  take(thread: number, from: number): LuaValue[] {
    const { lua } = this.#machine;
    const top = lua.lua_gettop(thread);
    const values: LuaValue[] = from === 2 ? [undefined] : [];
    this.#entries = 0;
    this.#characters = 0;
    try {
      for (let index = from; index <= top; index += 1) values.push(this.#read(thread, index, 0));
    } finally {
      lua.lua_settop(thread, 0);
      this.moved += this.#characters;
    }
    return values;
  }

  push(thread: number, value: LuaValue): void {
    const { lua } = this.#machine;
    if (value === undefined) lua.lua_pushnil(thread);
    else if (typeof value === "boolean") lua.lua_pushboolean(thread, value ? 1 : 0);
    else if (typeof value === "number") lua.lua_pushnumber(thread, value);
    else if (typeof value === "string") {
      this.moved += value.length;
      this.#machine.withBytes(value, (bytes, size) => lua.lua_pushlstring(thread, bytes, size));
    } else {
      lua.lua_checkstack(thread, 4);
      lua.lua_createtable(thread, 0, value.size);
      for (const [key, item] of value) {
        this.push(thread, key);
        this.push(thread, item);
        lua.lua_rawset(thread, -3);
      }
    }
  }

  #read(thread: number, index: number, depth: number): LuaValue {
    const { lua } = this.#machine;
    switch (lua.lua_type(thread, index)) {
      case luaTypes.boolean:
        return lua.lua_toboolean(thread, index) !== 0;
      case luaTypes.number:
        return lua.lua_tonumber(thread, index);
      case luaTypes.string:
        this.#characters += lua.lua_objlen(thread, index);
        if (this.#characters > maxCharacters) throw new TooManyValues("the values have more than 64 MiB of text");
        return this.#machine.text(thread, index);
      case luaTypes.table:
        return this.#readTable(thread, index, depth);
      default:
        return undefined;
    }
  }

  #readTable(thread: number, index: number, depth: number): LuaTable {
    const { lua } = this.#machine;
    const table = new Map<LuaKey, LuaValue>();
    if (depth >= maxTableDepth || lua.lua_checkstack(thread, 4) === 0) return table;
    lua.lua_pushnil(thread);
    while (lua.lua_next(thread, index) !== 0) {
      this.#entries += 1;
      if (this.#entries > maxEntries) throw new TooManyValues(`the tables have more than ${maxEntries} entries`);
      const value = lua.lua_gettop(thread);
      const key = this.#read(thread, value - 1, maxTableDepth);
      if (key !== undefined && typeof key !== "object") table.set(key, this.#read(thread, value, depth + 1));
      lua.lua_settop(thread, value - 1);
    }
    return table;
  }
}
