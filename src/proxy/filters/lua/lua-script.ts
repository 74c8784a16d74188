import { aborted, messageOf, userError } from "../../../base/index.ts";
import type { FilterCounter } from "../../terms/filter-statistics.ts";
import type { LocalReply } from "../http-filter.ts";
import {
  defaultLuaLimits,
  LuaError,
  LuaInterpreter,
  type LuaLimits,
  type LuaProgress,
  type LuaRun,
} from "./lua-interpreter.ts";
import { libraryAnswer } from "./lua-library.ts";
import type { ScriptMessage } from "./lua-message.ts";
import { LuaStream, outOfScope, type LuaContext, type LuaServices } from "./lua-stream.ts";
import type { LuaValue } from "./lua-value.ts";
import { SharedLuaMemory } from "./shared-lua-memory.ts";
import { UnawaitedCalls } from "./unawaited-calls.ts";

type Kind = "request" | "response";

/** A script with its globals, for all listeners and routes that have the same text. */
export class LuaScript {
  readonly #source: string;
  readonly #services: LuaServices;
  readonly #limits: LuaLimits;
  readonly #memory: SharedLuaMemory;
  readonly hasRequest: boolean;
  readonly hasResponse: boolean;
  /** The number of streams in which the script runs or waits. */
  get running(): number {
    return this.#streams.size;
  }

  readonly #streams = new Map<number, LuaStream>();
  readonly #calls = new UnawaitedCalls();
  #interpreter: LuaInterpreter | undefined;
  #started = 0;

  /** Throws an error with Lua's message if the script does not compile. */
  constructor(source: string, services: LuaServices, limits: LuaLimits, memory: SharedLuaMemory) {
    this.#source = source;
    this.#services = services;
    this.#limits = limits;
    this.#memory = memory;
    // Check the script here. Its interpreter is created again when the first request arrives.
    const checked = this.#start();
    this.hasRequest = checked.has("request");
    this.hasResponse = checked.has("response");
  }

  /** Runs the script's function. Returns the reply that replaces the message, if there is one. */
  run(
    kind: Kind,
    message: ScriptMessage,
    context: LuaContext,
    errors: FilterCounter,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    const stream = new LuaStream(message, context, this.#calls);
    const id = (this.#started += 1);
    this.#streams.set(id, stream);
    let run: LuaRun | undefined;
    try {
      if (this.#interpreter?.exhausted !== false) this.#interpreter = this.#start();
      run = this.#interpreter.start(kind, id);
      const progress = run.go();
      if (progress.kind === "waits") return this.#goOn({ id, stream, run, context, errors }, progress);
      this.#ended({ id, stream, run, context, errors }, progress);
    } catch (error) {
      this.#streams.delete(id);
      this.#interpreter = undefined;
      this.#tellFailure(context, errors, error instanceof Error ? error.message : String(error));
    }
    return stream.reply;
  }

  async #goOn(running: Running, first: LuaProgress & { kind: "waits" }): Promise<LocalReply | undefined> {
    const { stream, run, context } = running;
    let progress: LuaProgress = first;
    while (progress.kind === "waits") {
      const results = await Promise.race([this.#waitFor(stream, progress), gone(context.signal())]);
      // A reply ends the script. So does a client that disconnects.
      if (stream.reply !== undefined || results === undefined) break;
      progress = run.go(results);
    }
    this.#ended(running, progress);
    return stream.reply;
  }

  async #waitFor(stream: LuaStream, { operation, given }: LuaProgress & { kind: "waits" }): Promise<LuaValue[]> {
    try {
      return [true, ...(await stream.wait(operation, given.slice(1)))];
    } catch (error) {
      return [false, error instanceof Error ? error.message : String(error)];
    }
  }

  #ended({ id, run, context, errors }: Running, progress: LuaProgress): void {
    this.#streams.delete(id);
    run.end();
    if (progress.kind === "failed") this.#tellFailure(context, errors, progress.message);
  }

  #tellFailure(context: LuaContext, errors: FilterCounter, message: string): void {
    errors.increment();
    this.#services.log.error(`script of the HTTP filter ${context.filter} failed: ${message}`);
  }

  #start(): LuaInterpreter {
    const host = {
      answer: (operation: string, given: readonly LuaValue[]): readonly LuaValue[] => {
        const answer = libraryAnswer(operation, given, this.#services);
        if (answer !== undefined) return answer;
        const stream = this.#streams.get(Number(given[0]));
        if (stream === undefined) throw outOfScope();
        return stream.answer(operation, given.slice(1));
      },
      dropped: () => {
        if (this.#interpreter === made) this.#interpreter = undefined;
      },
    };
    const made = new LuaInterpreter(this.#source, host, this.#services.clock, this.#limits, this.#memory);
    return made;
  }
}

/** Resolves when the stream has ended, because the script's wait may then never end. */
async function gone(signal: AbortSignal): Promise<undefined> {
  await aborted(signal);
}

interface Running {
  readonly id: number;
  readonly stream: LuaStream;
  readonly run: LuaRun;
  readonly context: LuaContext;
  readonly errors: FilterCounter;
}

export class LuaLoadFailure {
  readonly message: string;
  /** Whether the same script may load later, because only time or memory was short on this node. */
  readonly mayPass: boolean;

  constructor(error: unknown) {
    this.message = `script load error: ${messageOf(error)}`;
    this.mayPass = !(error instanceof LuaError);
  }
}

const logIntervalMs = 60_000;
const firstPauseMs = 10_000;
const maxPauseMs = 600_000;

/** A script that a proxy accepts although it does not load, for all listeners that have the same text. */
export class OptionalScript {
  readonly #load: () => LuaScript | LuaLoadFailure;
  readonly #services: LuaServices;
  #latest: LuaScript | LuaLoadFailure | undefined;
  #pauseMs = firstPauseMs;
  #nextLoadMs = Number.NEGATIVE_INFINITY;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(load: () => LuaScript | LuaLoadFailure, services: LuaServices) {
    this.#load = load;
    this.#services = services;
  }

  get loaded(): LuaScript | undefined {
    return this.#latest instanceof LuaScript ? this.#latest : undefined;
  }

  /**
   * Returns the script, or why it does not load. Tries to load it again if that may help, but only after growing
   * pauses. Otherwise each request and each update of a listener would wait for a script that never ends.
   */
  attempt(where: string): LuaScript | LuaLoadFailure {
    const known = this.#latest;
    if (known instanceof LuaScript) return known;
    const nowMs = this.#services.clock.steadyMs();
    const isDue = known === undefined || (known.mayPass && nowMs >= this.#nextLoadMs);
    const latest = isDue ? this.#loadNow() : known;
    if (latest instanceof LuaLoadFailure) this.#report(`${where}: ${latest.message}`, nowMs);
    return latest;
  }

  #loadNow(): LuaScript | LuaLoadFailure {
    const latest = this.#load();
    this.#latest = latest;
    this.#nextLoadMs = this.#services.clock.steadyMs() + this.#pauseMs;
    this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2);
    return latest;
  }

  /** Logs at most once a minute, because each request tries to load the script. */
  #report(line: string, nowMs: number): void {
    if (nowMs - this.#loggedMs < logIntervalMs) return;
    this.#loggedMs = nowMs;
    this.#services.log.error(line);
  }
}

const maxScripts = 1000;

/** The scripts of a data path. Equal texts share one script. */
export class LuaScripts {
  readonly services: LuaServices;
  readonly #limits: LuaLimits;
  readonly #memory = new SharedLuaMemory();
  readonly #scripts = new Map<string, WeakRef<LuaScript>>();
  readonly #optional = new Map<string, WeakRef<OptionalScript>>();

  constructor(services: LuaServices, limits = defaultLuaLimits) {
    this.services = services;
    this.#limits = limits;
  }

  /** Compiles a script. Throws a user error with the script's location and Lua's message. */
  compile(source: string, where: string): LuaScript {
    const loaded = this.#load(source);
    if (loaded instanceof LuaScript) return loaded;
    throw userError("config-rejected", `${where}: ${loaded.message}`);
  }

  /** Attempts to load a script, and accepts it even if it does not load. Logs the reason with the script's location. */
  optional(source: string, where: string): OptionalScript {
    const known = this.#optional.get(source)?.deref();
    const script = known ?? new OptionalScript(() => this.#load(source), this.services);
    if (known === undefined) keep(this.#optional, source, script);
    script.attempt(where);
    return script;
  }

  #load(source: string): LuaScript | LuaLoadFailure {
    const known = this.#scripts.get(source)?.deref();
    if (known !== undefined) return known;
    try {
      const script = new LuaScript(source, this.services, this.#limits, this.#memory);
      keep(this.#scripts, source, script);
      return script;
    } catch (error) {
      return new LuaLoadFailure(error);
    }
  }
}

/** Stores a script by a weak reference, and forgets the scripts that no listener or route uses any more. */
function keep<Value extends object>(map: Map<string, WeakRef<Value>>, source: string, value: Value): void {
  for (const [text, reference] of map) if (reference.deref() === undefined) map.delete(text);
  if (map.size < maxScripts) map.set(source, new WeakRef(value));
}
