import { ownCopy, truncated, withoutControls, type Clock } from "../../../base/index.ts";
import { LuaCrash, LuaMachine } from "./lua-machine.ts";
import { isPlain, longestQuickText, LuaPattern, PatternError, plainSearch, type PatternMatch } from "./lua-pattern.ts";
import { luaPrelude } from "./lua-prelude.ts";
import { SharedLuaMemory, type MemoryHolder } from "./shared-lua-memory.ts";
import { LuaStack, TooManyValues } from "./lua-stack.ts";
import { luaTypes as types, textOf, type LuaValue } from "./lua-value.ts";
import { webAssembly } from "./web-assembly.ts";

export interface LuaLimits {
  readonly maxMemoryBytes: number;
  /** How long a script may run before it waits for something or ends. */
  readonly maxRunMs: number;
}

export const defaultLuaLimits: LuaLimits = { maxMemoryBytes: 64 * 1024 * 1024, maxRunMs: 250 };

/**
 * An error that Lua raises while it loads the script. Loading the same script again presumably fails in the same way.
 */
export class LuaError extends Error {}

/** Answers the script's calls. If it throws, the message becomes the script's error. */
export interface LuaHost {
  answer(operation: string, given: readonly LuaValue[]): readonly LuaValue[];
  /** Called when the interpreter has ended because other interpreters need its memory. */
  dropped?(): void;
}

export type LuaProgress =
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "waits"; readonly operation: LuaWait; readonly given: readonly LuaValue[] };

const waits = ["body", "trailers", "call", "respond"] as const;
export type LuaWait = (typeof waits)[number];

const yielded = 1;
const registryIndex = -10_000;
const hookOnCount = 8;
/** The clock is read each time the interpreter has taken this many steps. */
const stepsPerLook = 10_000;
/** A run cannot be overdue at the first reads of the clock, up to this number. */
const freeLooks = 5;
/** If a function that cannot be interrupted runs for this multiple of a run's time limit, its interpreter ends. */
const hardFactor = 2;
/**
 * The clock is read each time functions of the host have done this much work, in characters that they read or return.
 */
const workPerLook = 1024 * 1024;
/**
 * The work that a call counts as in addition to its characters. The slowest call, which verifies a signature, takes 20
 * ms at most.
 */
const workPerCall = workPerLook / 16;
const maxMessageCharacters = 500;

/** The largest product of the lengths of text and pattern for which the C function may search for plain text. */
const maxPlainProduct = 1e8;

class Overdue extends Error {}

function plainMatch(both: Parameters<typeof plainSearch>[0], at: number): PatternMatch | undefined {
  const from = plainSearch(both, at);
  return from < 0 ? undefined : { from, to: from + both.patternTo - both.patternFrom, captures: [] };
}

/** One script with its globals. Runs are coroutines: one waits while others run. */
export class LuaInterpreter implements MemoryHolder {
  readonly #machine: LuaMachine;
  readonly #stack: LuaStack;
  readonly #clock: Clock;
  readonly #limits: LuaLimits;
  readonly #host: LuaHost;
  #runner = 0;
  #deadlineMs = 0;
  #looks = 0;
  #overdue = false;
  /**
   * The total work of the host's functions when the clock was last read, and the total number of calls of these
   * functions.
   */
  #seenWork = 0;
  #asks = 0;
  /**
   * Whether the interpreter must not run again: Lua's own data may be inconsistent, or other interpreters need its
   * memory.
   */
  #broken = false;
  /** Whether the interpreter is out of memory or broken, so that it must be replaced. */
  exhausted = false;

  /**
   * Throws if the script does not load: a {@link LuaError} if it does not compile or fails, or another error if it took
   * too long or memory was missing. The state of the node may have caused an error of the second kind.
   */
  constructor(source: string, host: LuaHost, clock: Clock, limits: LuaLimits, memory = new SharedLuaMemory()) {
    this.#clock = clock;
    this.#limits = limits;
    this.#host = host;
    this.#begin();
    this.#machine = new LuaMachine(
      limits.maxMemoryBytes,
      (bytes) => memory.mayGrow(this, bytes),
      () => this.#tick(),
    );
    memory.add(this);
    this.#stack = new LuaStack(this.#machine);
    const { lua, state } = this.#machine;
    const hook = this.#machine.functionPointer(2, 0, (thread = 0) => this.#look(thread));
    this.#pushFunction(state, (thread) => this.#ask(thread));
    this.#pushFunction(state, (thread) => this.#search(thread));
    this.#pushFunction(state, (thread) => this.#guard(thread));
    this.#load(luaPrelude, "=envoy", 3);
    // Drop the value that marks a wait from the stack: only the prelude may have it.
    lua.lua_settop(state, -2);
    this.#runner = lua.luaL_ref(state, registryIndex);
    lua.lua_sethook(state, hook, hookOnCount, stepsPerLook);
    this.#begin();
    this.#load(source, "=script", 0);
    lua.lua_settop(state, 0);
  }

  get heldBytes(): number {
    return this.#broken || this.#machine === undefined ? 0 : this.#machine.arena.grownBytes;
  }

  drop(): void {
    this.exhausted = true;
    this.#broken = true;
    this.#host.dropped?.();
  }

  has(kind: "request" | "response"): boolean {
    const { lua, state } = this.#machine;
    const globals = -10_002;
    this.#deadlineMs = Infinity;
    this.#stack.push(state, `envoy_on_${kind}`);
    lua.lua_rawget(state, globals);
    const found = lua.lua_type(state, -1) !== types.nil;
    lua.lua_settop(state, 0);
    return found;
  }

  /** Starts a run for a stream. The caller passes the result of each wait to `go`. */
  start(kind: "request" | "response", stream: number): LuaRun {
    const { lua, state } = this.#machine;
    // The deadline of an earlier run does not apply to this one.
    this.#deadlineMs = Infinity;
    const thread = lua.lua_newthread(state);
    const anchor = lua.luaL_ref(state, registryIndex);
    lua.lua_rawgeti(thread, registryIndex, this.#runner);
    this.#stack.push(thread, kind);
    this.#stack.push(thread, stream);
    return {
      go: (results) => {
        for (const value of results ?? []) this.#stack.push(thread, value);
        return this.#resume(thread, results?.length ?? 2);
      },
      end: () => {
        if (!this.exhausted) lua.luaL_unref(state, registryIndex, anchor);
      },
    };
  }

  #resume(thread: number, count: number): LuaProgress {
    const { lua } = this.#machine;
    if (this.#broken)
      return { kind: "failed", message: "the script began again, and lost its globals and its waiting runs" };
    this.#begin();
    try {
      const status = lua.lua_resume(thread, count);
      if (status === 0) return { kind: "ended" };
      if (status !== yielded) return { kind: "failed", message: this.#failure(thread) };
      const [, operation, ...given] = this.#stack.take(thread, 2);
      const known = waits.find((wait) => wait === operation);
      if (known === undefined) return { kind: "failed", message: "script performed an unexpected yield" };
      return { kind: "waits", operation: known, given };
    } catch (error) {
      if (error instanceof TooManyValues) return { kind: "failed", message: error.message };
      this.exhausted = true;
      this.#broken = true;
      if (error instanceof LuaCrash || error instanceof RangeError || error instanceof webAssembly.RuntimeError)
        return { kind: "failed", message: error.message };
      throw error;
    }
  }

  /**
   * Returns the script's error for the log, shortened and without control characters. The script chooses the text,
   * which could otherwise fill the log or imitate a log line of the proxy.
   */
  #failure(thread: number): string {
    const type = this.#machine.lua.lua_type(thread, -1);
    const message =
      type === types.string || type === types.number
        ? Buffer.from(this.#machine.text(thread, -1), "latin1").toString()
        : "the error is not a string";
    if (this.#machine.arena.wasFull) this.exhausted = true;
    return withoutControls(ownCopy(truncated(message, maxMessageCharacters)));
  }

  #load(source: string, name: string, given: number): void {
    const { lua, state } = this.#machine;
    const text = Buffer.from(source).toString("latin1");
    const results = -1;
    const status =
      this.#machine.withBytes(text, (bytes, size) =>
        this.#machine.withBytes(name, (called) => lua.luaL_loadbuffer(state, bytes, size, called)),
      ) || this.#call(given, results);
    if (status === 0) return;
    const message = this.#failure(state);
    throw this.#overdue || this.exhausted ? new Error(message) : new LuaError(message);
  }

  /** Calls the function on top of the stack with the values below it. */
  #call(given: number, results: number): number {
    const { lua, state } = this.#machine;
    for (let value = 0; value < given; value += 1) lua.lua_pushvalue(state, -1 - given);
    return lua.lua_pcall(state, given, results, 0);
  }

  #begin(): void {
    this.#deadlineMs = this.#clock.steadyMs() + this.#limits.maxRunMs;
    this.#looks = 0;
    this.#overdue = false;
    if (this.#machine !== undefined) this.#machine.arena.wasFull = false;
  }

  /**
   * Called regularly while the interpreter's own loops run. They may be those of a single function, within which Lua
   * calls no hook.
   */
  #tick(): void {
    this.#looks += 1;
    if (this.#looks > freeLooks && this.#clock.steadyMs() > this.#deadlineMs + (hardFactor - 1) * this.#limits.maxRunMs)
      throw new LuaCrash(this.#overdueMessage());
  }

  #overdueMessage(): string {
    return `the script ran longer than ${this.#limits.maxRunMs} ms without a pause`;
  }

  #look(thread: number): number {
    if (this.#isOverdue()) this.#raiseOverdue(thread);
    return 0;
  }

  #isOverdue(): boolean {
    this.#looks += 1;
    this.#overdue ||= this.#looks > freeLooks && this.#clock.steadyMs() > this.#deadlineMs;
    return this.#overdue;
  }

  #raiseOverdue(thread: number): void {
    this.#stack.push(thread, this.#overdueMessage());
    this.#machine.lua.lua_error(thread);
  }

  #pushFunction(state: number, run: (thread: number) => number): void {
    const pointer = this.#machine.functionPointer(1, 1, (thread = 0) => run(thread));
    this.#machine.lua.lua_pushcclosure(state, pointer, 0);
  }

  /**
   * Combines two functions for patterns: the C function on the stack, and the one that takes over when the C function
   * might take too long. The third value says whether it is `string.find`, which also searches for plain text.
   */
  #guard(thread: number): number {
    const { lua } = this.#machine;
    const native = this.#machine.functionAt(lua.lua_tocfunction(thread, 1));
    const isFind = lua.lua_toboolean(thread, 3) !== 0;
    lua.lua_settop(thread, 2);
    const stepwise = lua.luaL_ref(thread, registryIndex);
    this.#pushFunction(thread, (caller) => {
      if (this.#isQuick(caller, isFind)) return native(caller);
      const count = lua.lua_gettop(caller);
      lua.lua_rawgeti(caller, registryIndex, stepwise);
      lua.lua_insert(caller, 1);
      lua.lua_call(caller, count, -1);
      return lua.lua_gettop(caller);
    });
    return 1;
  }

  /**
   * Whether the C function for this text and pattern ends soon. Values of other types are left to the C function, which
   * refuses them.
   */
  #isQuick(thread: number, isFind: boolean): boolean {
    const { lua } = this.#machine;
    if (lua.lua_type(thread, 1) !== types.string || lua.lua_type(thread, 2) !== types.string) return true;
    const textBytes = lua.lua_objlen(thread, 1);
    const pattern = this.#machine.range(thread, 2);
    const memory = new Uint8Array(lua.memory.buffer);
    if (isFind && (lua.lua_toboolean(thread, 4) !== 0 || isPlain(memory, pattern.from, pattern.to))) {
      if (textBytes * (pattern.to - pattern.from) <= maxPlainProduct) return true;
      lua.lua_settop(thread, 3);
      lua.lua_pushboolean(thread, 1);
      return false;
    }
    return textBytes <= longestQuickText(memory, pattern.from, pattern.to);
  }

  /**
   * Searches a text for a pattern. The arguments are the text, the pattern, the first position, and the kind of
   * pattern. Returns the range of the match and then its captures, or nothing, or false with a message. The search
   * reads the interpreter's memory, so it must not allocate any of it.
   */
  #search(thread: number): number {
    const { lua } = this.#machine;
    const text = this.#machine.range(thread, 1);
    const pattern = this.#machine.range(thread, 2);
    const at = text.from + lua.lua_tonumber(thread, 3) - 1;
    const kind = this.#machine.text(thread, 4);
    const memory = new Uint8Array(lua.memory.buffer);
    const both = { memory, ...text, patternFrom: pattern.from, patternTo: pattern.to };
    let found: PatternMatch | undefined;
    try {
      found = kind === "plain" ? plainMatch(both, at) : this.#patternOf(both).search(at, kind === "anchored");
    } catch (error) {
      if (error instanceof Overdue) this.#raiseOverdue(thread);
      if (!(error instanceof PatternError)) throw error;
      this.#stack.push(thread, false);
      this.#stack.push(thread, error.message);
      return 2;
    }
    if (found === undefined) return 0;
    const { from, to, captures } = found;
    lua.lua_checkstack(thread, 2 + captures.length);
    lua.lua_pushnumber(thread, from - text.from + 1);
    lua.lua_pushnumber(thread, to - text.from);
    for (const capture of captures)
      if (typeof capture === "number") lua.lua_pushnumber(thread, capture);
      else lua.lua_pushlstring(thread, capture.from, capture.to - capture.from);
    return 2 + captures.length;
  }

  #patternOf(both: ConstructorParameters<typeof LuaPattern>[0]): LuaPattern {
    return new LuaPattern(both, () => {
      if (this.#isOverdue()) throw new Overdue();
    });
  }

  /** Handles a call that the script makes. Returns whether the call succeeded, then its results. */
  #ask(thread: number): number {
    let results: readonly LuaValue[];
    try {
      const [operation, ...given] = this.#stack.take(thread, 1);
      results = operation === "overdue" ? [this.#overdue] : [true, ...this.#host.answer(textOf(operation), given)];
    } catch (error) {
      results = [false, error instanceof Error ? error.message : String(error)];
    }
    for (const value of results) this.#stack.push(thread, value);
    this.#asks += 1;
    const work = this.#stack.moved + this.#asks * workPerCall;
    if (work - this.#seenWork >= workPerLook) {
      this.#seenWork = work;
      if (this.#isOverdue()) this.#raiseOverdue(thread);
    }
    return results.length;
  }
}

export interface LuaRun {
  /** Starts the run, or continues it with the results of a wait. */
  go(results?: readonly LuaValue[]): LuaProgress;
  /** Releases the run, whether it has ended or not. */
  end(): void;
}
