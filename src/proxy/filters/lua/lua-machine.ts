import { readFileSync } from "node:fs";
import { internalError } from "../../../base/index.ts";
import { LuaArena } from "./lua-arena.ts";
import { meteredModule, type MeterExports } from "./loop-meter.ts";
import { webAssembly, type WasmMemory, type WasmModule, type WasmTable } from "./web-assembly.ts";

/**
 * The functions of Lua 5.1's C API that are used here, by their own names. A state, a thread and a pointer are numbers.
 */
interface LuaExports extends MeterExports {
  readonly memory: WasmMemory;
  readonly __indirect_function_table: WasmTable;
  __wasm_call_ctors(): void;
  malloc(size: number): number;
  free(pointer: number): void;
  setThrew(threw: number, value: number): void;
  stackSave(): number;
  stackRestore(pointer: number): void;
  lua_newstate(allocator: number, data: number): number;
  luaL_openlibs(state: number): void;
  luaL_loadbuffer(state: number, bytes: number, size: number, name: number): number;
  luaL_ref(state: number, table: number): number;
  luaL_unref(state: number, table: number, reference: number): void;
  lua_newthread(state: number): number;
  lua_resume(thread: number, arguments_: number): number;
  lua_pcall(state: number, arguments_: number, results: number, handler: number): number;
  lua_call(state: number, arguments_: number, results: number): void;
  lua_error(state: number): number;
  lua_sethook(state: number, hook: number, mask: number, count: number): number;
  lua_gettop(state: number): number;
  lua_settop(state: number, index: number): void;
  lua_checkstack(state: number, extra: number): number;
  lua_type(state: number, index: number): number;
  lua_toboolean(state: number, index: number): number;
  lua_tonumber(state: number, index: number): number;
  lua_tocfunction(state: number, index: number): number;
  lua_objlen(state: number, index: number): number;
  lua_tolstring(state: number, index: number, length: number): number;
  lua_next(state: number, index: number): number;
  lua_pushnil(state: number): void;
  lua_pushboolean(state: number, value: number): void;
  lua_pushnumber(state: number, value: number): void;
  lua_pushlstring(state: number, bytes: number, size: number): void;
  lua_pushcclosure(state: number, function_: number, upvalues: number): void;
  lua_pushvalue(state: number, index: number): void;
  lua_createtable(state: number, items: number, fields: number): void;
  lua_rawset(state: number, index: number): void;
  lua_rawget(state: number, index: number): void;
  lua_insert(state: number, index: number): void;
  lua_rawgeti(state: number, index: number, key: number): void;
}

/**
 * The interpreter is unusable, because its stack overflowed, it ran out of memory where Lua cannot raise an error, or a
 * function took too long.
 */
export class LuaCrash extends Error {}

/** The iterations of loops after which the owner is called. They take 2 to 20 ms. */
const iterationsPerTick = 2_000_000;
/** Copying this many bytes counts as one iteration of a loop, because it takes about as long. */
const copiedPerIteration = 16;

const longJump = Symbol("longjmp");

let compiled: WasmModule | undefined;

/** Returns the compiled interpreter. The first script makes the proxy read and compile it. */
function interpreter(): WasmModule {
  const file = new URL(import.meta.resolve("wasmoon-lua5.1/dist/liblua5.1.wasm"));
  compiled ??= new webAssembly.Module(meteredModule(readFileSync(file)));
  return compiled;
}

/** An interpreter of Lua 5.1 with its own memory. It cannot reach files, the environment or the clock. */
export class LuaMachine {
  readonly lua: LuaExports;
  readonly arena: LuaArena;
  readonly state: number;
  readonly #length: number;

  /**
   * `mayGrow` is asked before the memory for values grows. `tick` is called again and again while functions of the
   * interpreter run. It may throw a {@link LuaCrash}.
   */
  constructor(maxMemoryBytes: number, mayGrow: (bytes: number) => boolean, tick: () => void) {
    const exports: { lua?: LuaExports } = {};
    const instance = new webAssembly.Instance(
      interpreter(),
      importsOf(() => exports.lua),
    );
    this.lua = instance.exports as unknown as LuaExports;
    exports.lua = this.lua;
    this.lua.loopFuel.value = iterationsPerTick;
    this.lua.loopSlot.value = this.functionPointer(0, 0, () => {
      this.lua.loopFuel.value = iterationsPerTick;
      tick();
    });
    this.lua.__wasm_call_ctors();
    this.#length = this.lua.malloc(4);
    this.arena = new LuaArena(this.lua.memory, maxMemoryBytes, mayGrow);
    this.state = this.lua.lua_newstate(this.functionPointer(4, 1, this.arena.reallocate), 0);
    this.lua.luaL_openlibs(this.state);
  }

  /** Makes a function callable from Lua, and returns its address. All arguments are numbers. */
  functionPointer(parameters: number, results: 0 | 1, run: (...given: number[]) => number | void): number {
    const wrapper = new webAssembly.Instance(wrapperOf(parameters, results), { e: { f: run } });
    const table = this.lua.__indirect_function_table;
    const at = table.grow(1);
    table.set(at, wrapper.exports["f"]);
    return at;
  }

  functionAt(pointer: number): (state: number) => number {
    return this.lua.__indirect_function_table.get(pointer) as (state: number) => number;
  }

  /** Copies text into the interpreter's memory for the duration of a call, one byte for each character. */
  withBytes<Result>(text: string, use: (pointer: number, size: number) => Result): Result {
    const { lua } = this;
    const pointer = lua.malloc(text.length + 1);
    if (pointer === 0) throw new LuaCrash("not enough memory");
    const memory = Buffer.from(lua.memory.buffer, pointer, text.length + 1);
    memory.write(text, 0, "latin1");
    memory[text.length] = 0;
    try {
      return use(pointer, text.length);
    } finally {
      lua.free(pointer);
    }
  }

  /** The place in memory of the string at an index of the stack. */
  range(state: number, index: number): { readonly from: number; readonly to: number } {
    const { lua } = this;
    const from = lua.lua_tolstring(state, index, this.#length);
    return { from, to: from + new DataView(lua.memory.buffer).getUint32(this.#length, true) };
  }

  /** The string or number at an index of the stack, one character for each byte. */
  text(state: number, index: number): string {
    const { lua } = this;
    const pointer = lua.lua_tolstring(state, index, this.#length);
    if (pointer === 0) return "";
    const size = new DataView(lua.memory.buffer).getUint32(this.#length, true);
    return Buffer.from(lua.memory.buffer, pointer, size).toString("latin1");
  }
}

/** The functions that the interpreter imports. Lua's functions for files, programs and the environment always fail. */
function importsOf(lua: () => LuaExports | undefined) {
  const none = (): number => -1;
  const exit = (): never => {
    throw new LuaCrash("the interpreter stopped, most likely because it ran out of memory");
  };
  return {
    env: {
      exit,
      invoke_vii: (index: number, first: number, second: number): void => {
        const exports = lua();
        if (exports === undefined) return;
        const stack = exports.stackSave();
        try {
          const called = exports.__indirect_function_table.get(index) as (first: number, second: number) => void;
          called(first, second);
        } catch (error) {
          exports.stackRestore(stack);
          if (error !== longJump) throw error;
          exports.setThrew(1, 0);
        }
      },
      _emscripten_throw_longjmp: (): never => {
        // oxlint-disable-next-line no-throw-literal, only-throw-error -- the compiled setjmp expects no Error
        throw longJump;
      },
      emscripten_memcpy_js: (to: number, from: number, size: number): void => {
        const exports = lua();
        if (exports === undefined) return;
        new Uint8Array(exports.memory.buffer).copyWithin(to, from, from + size);
        exports.loopFuel.value -= Math.floor(size / copiedPerIteration);
      },
      // Refuse to grow the memory here: the arena owns the memory behind the initial part.
      emscripten_resize_heap: () => 0,
      emscripten_date_now: () => 0,
      _emscripten_get_now_is_monotonic: () => 0,
      strftime: () => 0,
      _tzset_js: () => undefined,
      _mktime_js: none,
      _localtime_js: () => undefined,
      _gmtime_js: () => undefined,
      _emscripten_system: none,
      __syscall_openat: none,
      __syscall_fcntl64: none,
      __syscall_ioctl: none,
      __syscall_dup3: none,
      __syscall_unlinkat: none,
      __syscall_rmdir: none,
      __syscall_renameat: none,
      __syscall_readlinkat: none,
    },
    wasi_snapshot_preview1: {
      fd_write: none,
      fd_read: none,
      fd_close: none,
      fd_seek: none,
      environ_sizes_get: noEnvironment(lua),
      environ_get: () => 0,
    },
  };
}

function noEnvironment(lua: () => LuaExports | undefined) {
  return (count: number, size: number): number => {
    const exports = lua();
    if (exports === undefined) throw internalError("lua-failed", "the interpreter asked for its environment too early");
    const view = new DataView(exports.memory.buffer);
    view.setUint32(count, 0, true);
    view.setUint32(size, 0, true);
    return 0;
  };
}

const wrappers = new Map<string, WasmModule>();

/** A module that imports a function and exports it again. This gives the function a type that a table accepts. */
function wrapperOf(parameters: number, results: number): WasmModule {
  const key = `${parameters} ${results}`;
  let module = wrappers.get(key);
  if (module === undefined) {
    const i32 = 0x7f;
    const numbers = (count: number): number[] => [count, ...Array<number>(count).fill(i32)];
    const type = [0x60, ...numbers(parameters), ...numbers(results)];
    const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const imported = [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0];
    const exported = [7, 5, 1, 1, 0x66, 0, 0];
    const bytes = [...header, 1, type.length + 1, 1, ...type, ...imported, ...exported];
    wrappers.set(key, (module = new webAssembly.Module(new Uint8Array(bytes))));
  }
  return module;
}
