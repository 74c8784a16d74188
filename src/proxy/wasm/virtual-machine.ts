import { userError } from "../../base/index.ts";
import { abiVersionOf, action } from "./abi.ts";
import { engine, type CompiledModule, type ModuleExports } from "./engine.ts";
import { GuestMemory } from "./guest-memory.ts";
import { hostFunctions, unimplementedFunctions, type Imports } from "./host-functions.ts";
import { maxHeldBodyBytes, maxLogLines } from "./limits.ts";
import { MachineState, type MachineHost, type RootContext } from "./machine-state.ts";
import type {
  CallAnswer,
  Effect,
  MachineAnswer,
  MachineCall,
  MachineOptions,
  PluginOptions,
  StreamEvent,
} from "./messages.ts";
import { headersMap, StreamContext, trailersMap } from "./stream-context.ts";
import { ModuleExit, wasiFunctions } from "./wasi-functions.ts";

type Export = (...values: number[]) => unknown;

interface Outcome {
  readonly context?: number;
  readonly action?: number;
  readonly body?: Uint8Array | undefined;
}

const pauseAndBuffer = 1;
const pauseAndWait = 2;
const pauseAndDrop = 3;
const warnLevel = 3;

/** A running module with its contexts. One thread uses it, for one call at a time. */
export class VirtualMachine {
  readonly #state: MachineState;
  readonly #exports: ModuleExports;
  readonly #memory: GuestMemory;
  readonly #loggedFaults = new Set<string>();
  #started = false;
  #nextContext = 1;

  constructor(module: CompiledModule, options: MachineOptions, host: MachineHost) {
    this.#state = new MachineState(host, options);
    const exported = new Set(engine.Module.exports(module).map(({ name }) => name));
    const version = abiVersionOf(exported);
    if (version === undefined)
      throw userError(
        "module-invalid",
        "the WebAssembly module is not built for Proxy-Wasm 0.1.0, 0.2.0 or 0.2.1: it exports no proxy_abi_version",
      );
    const memoryOf = (): GuestMemory => this.#memory;
    const log = (level: number, text: string): void => this.#log(level, text);
    const env: Imports = {
      ...hostFunctions({ state: this.#state, memoryOf, version, log, done: (context) => this.#done(context) }),
      ...Object.fromEntries(unimplementedFunctions.map((name) => [name, () => this.#missing(name)])),
    };
    const wasi = wasiFunctions(memoryOf, this.#state, log);
    const imports = { env, wasi_snapshot_preview1: wasi, wasi_unstable: wasi };
    checkImports(module, imports);
    this.#exports = new engine.Instance(module, imports).exports;
    const { memory } = this.#exports;
    const allocate = this.#find("malloc") ?? this.#find("proxy_on_memory_allocate");
    if (!(memory instanceof engine.Memory))
      throw userError("module-invalid", "the WebAssembly module exports no memory");
    if (allocate === undefined)
      throw userError("module-invalid", "the WebAssembly module exports neither malloc nor proxy_on_memory_allocate");
    this.#memory = new GuestMemory(
      memory,
      (size) => Number(allocate(size)),
      (bytes) => this.#state.hand(bytes),
    );
    this.#initialize();
  }

  /** Runs one call. If the module throws, the exception is passed on. The machine must not be used again then. */
  run(call: MachineCall): MachineAnswer {
    const state = this.#state;
    state.beginCall();
    const { context = 0, action: chosen = action.continue, body } = this.#dispatch(call);
    return { context, action: chosen, body, effects: [...this.#fieldEffects(), ...state.effects] };
  }

  #dispatch(call: MachineCall): Outcome {
    const state = this.#state;
    switch (call.kind) {
      case "configure":
        return { context: this.#configure(call.plugin) };
      case "open": {
        const stream = new StreamContext(this.#newContext(), call.root, call.attributes);
        state.streams.set(stream.id, stream);
        this.#call("proxy_on_context_create", stream.id, stream.id, call.root);
        return { ...this.#event(stream, call.event), context: stream.id };
      }
      case "event": {
        const stream = state.streams.get(call.stream);
        if (stream === undefined) break;
        if (call.attributes !== undefined) stream.attributes = call.attributes;
        return this.#event(stream, call.event);
      }
      case "tick":
        this.#call("proxy_on_tick", call.root, call.root);
        break;
      case "queue":
        this.#call("proxy_on_queue_ready", call.root, call.root, call.queue);
        break;
      case "answer":
        this.#answer(call.root, call.token, call.answer);
        break;
      case "end":
        this.#endRoot(call.root);
        break;
    }
    return {};
  }

  #initialize(): void {
    try {
      if (this.#find("_initialize") !== undefined) {
        this.#find("_initialize")?.();
        (this.#find("main") ?? this.#find("__main_void"))?.(0, 0);
      } else this.#find("_start")?.();
    } catch (error) {
      // Treat a program that exits with code 0 as started.
      if (!(error instanceof ModuleExit) || error.code !== 0) throw error;
    }
  }

  #configure(plugin: PluginOptions): number {
    const state = this.#state;
    const root: RootContext = { id: this.#newContext(), plugin, ended: false };
    state.roots.set(root.id, root);
    state.configuration = plugin.configuration;
    try {
      this.#call("proxy_on_context_create", root.id, root.id, 0);
      if (!this.#started) {
        this.#started = true;
        const began = this.#call("proxy_on_vm_start", root.id, root.id, state.options.configuration.length);
        if (began === 0) return 0;
      }
      return this.#call("proxy_on_configure", root.id, root.id, plugin.configuration.length) === 0 ? 0 : root.id;
    } finally {
      state.configuration = undefined;
    }
  }

  #event(stream: StreamContext, event: StreamEvent): Outcome {
    const { id } = stream;
    switch (event.kind) {
      case "headers": {
        stream.setMap(headersMap(event.side), event.fields);
        return {
          action:
            this.#call(`proxy_on_${event.side}_headers`, id, id, event.fields.length, event.end ? 1 : 0) ??
            action.continue,
        };
      }
      case "body":
        return this.#body(stream, event);
      case "trailers": {
        stream.setMap(trailersMap(event.side), event.fields);
        const chosen = this.#call(`proxy_on_${event.side}_trailers`, id, id, event.fields.length) ?? action.continue;
        const buffer = stream.body(event.side);
        // Let the held part of the body continue before its trailers.
        return { action: chosen, body: chosen === action.continue && buffer.open ? buffer.take() : undefined };
      }
      case "done":
        this.#endStream(stream);
        return {};
    }
  }

  #body(stream: StreamContext, event: StreamEvent & { readonly kind: "body" }): Outcome {
    const buffer = stream.body(event.side);
    const bytes = Buffer.from(event.bytes.buffer, event.bytes.byteOffset, event.bytes.byteLength);
    buffer.bytes = buffer.bytes.length === 0 ? bytes : Buffer.concat([buffer.bytes, bytes]);
    buffer.open = true;
    const chosen =
      this.#call(`proxy_on_${event.side}_body`, stream.id, stream.id, buffer.bytes.length, event.end ? 1 : 0) ??
      action.continue;
    // Return nothing if the module has already released the body by a host function.
    if (!buffer.open) return {};
    if (chosen === pauseAndBuffer || chosen === pauseAndWait) {
      if (buffer.bytes.length > maxHeldBodyBytes) {
        buffer.take();
        return { action: tooLarge };
      }
      return { action: action.pause };
    }
    const body = buffer.take();
    return chosen === pauseAndDrop ? { action: action.pause } : { body };
  }

  #answer(root: number, token: number, answer: CallAnswer | undefined): void {
    const state = this.#state;
    state.openCalls -= 1;
    if (!state.roots.has(root)) return;
    state.callAnswer = answer;
    try {
      this.#call(
        "proxy_on_http_call_response",
        root,
        root,
        token,
        answer?.fields.length ?? 0,
        answer?.body.length ?? 0,
        answer?.trailers.length ?? 0,
      );
    } finally {
      state.callAnswer = undefined;
    }
  }

  #endStream(stream: StreamContext): void {
    if (stream.ended) return;
    stream.ended = true;
    if (this.#call("proxy_on_done", stream.id, stream.id) === 0) {
      stream.waitsForDone = true;
      return;
    }
    this.#deleteStream(stream);
  }

  #deleteStream(stream: StreamContext): void {
    this.#call("proxy_on_log", stream.id, stream.id);
    this.#call("proxy_on_delete", stream.id, stream.id);
    this.#state.streams.delete(stream.id);
  }

  #endRoot(id: number): void {
    const root = this.#state.roots.get(id);
    if (root === undefined || root.ended) return;
    root.ended = true;
    for (const stream of this.#state.streams.values()) if (stream.root === id) this.#deleteStream(stream);
    if (this.#call("proxy_on_done", id, id) !== 0) this.#deleteRoot(id);
  }

  #deleteRoot(id: number): void {
    this.#call("proxy_on_delete", id, id);
    this.#state.roots.delete(id);
  }

  #done(context: number): boolean {
    const stream = this.#state.streams.get(context);
    if (stream?.waitsForDone === true) {
      this.#deleteStream(stream);
      return true;
    }
    if (this.#state.roots.get(context)?.ended !== true) return false;
    this.#deleteRoot(context);
    return true;
  }

  *#fieldEffects(): Iterable<Effect> {
    for (const stream of this.#state.streams.values())
      for (const [map, fields] of stream.changedMaps())
        yield { kind: "fields", stream: stream.id, map, fields: fields.pairs };
  }

  /**
   * Calls an exported function of the module, and returns its result. Returns undefined if the module does not export
   * it.
   */
  #call(name: string, context: number, ...values: number[]): number | undefined {
    const run = this.#find(name);
    if (run === undefined) return undefined;
    const state = this.#state;
    const before = state.current;
    state.current = context;
    try {
      const result = run(...values);
      return typeof result === "number" ? result : undefined;
    } finally {
      state.current = before;
    }
  }

  #find(name: string): Export | undefined {
    const found = this.#exports[name];
    return typeof found === "function" ? (found as Export) : undefined;
  }

  #newContext(): number {
    const id = this.#nextContext;
    this.#nextContext = (this.#nextContext % 0xffff_fffe) + 1;
    return id;
  }

  #log(level: number, text: string): void {
    const state = this.#state;
    state.logLines += 1;
    if (state.logLines > maxLogLines + 1) return;
    const line = state.logLines > maxLogLines ? "further lines of this call are not logged" : text;
    state.host.tell({ kind: "log", level, plugin: state.root?.plugin.name ?? "", text: line });
  }

  #missing(name: string): number {
    if (!this.#loggedFaults.has(name)) {
      this.#loggedFaults.add(name);
      this.#log(warnLevel, `${name} is not supported: calls return "unimplemented" to the module`);
    }
    return unimplemented;
  }
}

const unimplemented = 12;
/** The action for a module that holds more of a body than allowed. The ABI does not have it. */
export const tooLarge = -1;

function checkImports(module: CompiledModule, known: Readonly<Record<string, Imports>>): void {
  for (const { module: from, name, kind } of engine.Module.imports(module)) {
    if (kind === "function" && Object.hasOwn(known, from) && known[from]?.[name] !== undefined) continue;
    throw userError("module-invalid", `the WebAssembly module imports ${from}.${name}, which is not supported`);
  }
}
