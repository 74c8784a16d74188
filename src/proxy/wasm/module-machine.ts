import { messageOf, type Clock } from "../../base/index.ts";
import { status } from "./abi.ts";
import { maxCallAnswerBytes, maxCallMs } from "./limits.ts";
import type {
  AttributeMap,
  Effect,
  HostRequest,
  MachineAnswer,
  MachineCall,
  MachineOptions,
  ModuleCall,
  PluginOptions,
  SharedAnswer,
  SharedRequest,
  StreamEvent,
} from "./messages.ts";
import type { CallCluster } from "../terms/call-cluster.ts";
import type { CompiledModule } from "./engine.ts";
import { ModuleThread } from "./module-thread.ts";
import type { Pairs } from "./pairs.ts";
import type { SharedStore } from "./shared-store.ts";

export interface MachineServices {
  readonly clock: Clock;
  readonly store: SharedStore;
  readonly callCluster: CallCluster;
  readonly hasCluster: (name: string) => boolean;
  readonly log: (level: number, plugin: string, text: string) => void;
  readonly logLevel: () => number;
  readonly record: (id: number, value: bigint) => void;
  readonly counted: (kind: "trap" | "deadline") => void;
  readonly deadlineMs?: number;
}

export interface StreamReceiver {
  effect(effect: Effect): void;
  moduleFailed(): void;
}

export interface MachineLease {
  readonly machine: ModuleMachine;
  release(): void;
}

/** One running module, with the plugins and streams that use it. */
export class ModuleMachine {
  readonly #options: MachineOptions;
  readonly #services: MachineServices;
  readonly #thread: ModuleThread;
  readonly #streams = new Map<number, StreamReceiver>();
  readonly #plugins = new Map<number, (message: string) => void>();
  readonly #ticks = new Map<number, Disposable>();
  readonly #calls = new AbortController();
  #over = false;

  constructor(module: CompiledModule, options: MachineOptions, services: MachineServices) {
    this.#options = options;
    this.#services = services;
    this.#thread = new ModuleThread({
      module,
      machine: options,
      logLevel: services.logLevel(),
      clock: services.clock,
      ask: (request) => this.#ask(request),
      tell: (request) => this.#tell(request),
      effects: (effects) => this.#apply(effects),
      failed: ({ kind, message }) => {
        services.counted(kind);
        this.#fail(message);
      },
      ...(services.deadlineMs === undefined ? {} : { deadlineMs: services.deadlineMs }),
    });
  }

  get failed(): boolean {
    return this.#over;
  }

  /**
   * Configures a plugin. Returns its context, or 0 if the module has refused. `failed` is called if the module fails
   * later.
   */
  async configure(plugin: PluginOptions, failed: (message: string) => void): Promise<number> {
    const { context } = await this.#thread.call({ kind: "configure", plugin });
    if (context !== 0) this.#plugins.set(context, failed);
    return context;
  }

  async open(
    root: number,
    attributes: AttributeMap,
    event: StreamEvent,
    receiver: StreamReceiver,
  ): Promise<MachineAnswer> {
    return await this.#thread.call({ kind: "open", root, attributes, event }, ({ context }) =>
      this.#streams.set(context, receiver),
    );
  }

  async event(stream: number, event: StreamEvent, attributes?: AttributeMap): Promise<MachineAnswer> {
    return await this.#thread.call({ kind: "event", stream, event, attributes });
  }

  closeStream(stream: number): void {
    this.#streams.delete(stream);
    this.#send({ kind: "event", stream, event: { kind: "done" }, attributes: undefined });
  }

  endPlugin(root: number): void {
    this.#plugins.delete(root);
    this.#ticks.get(root)?.[Symbol.dispose]();
    this.#ticks.delete(root);
    this.#send({ kind: "end", root });
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop();
    this.#thread.end();
  }

  #stop(): void {
    for (const tick of this.#ticks.values()) tick[Symbol.dispose]();
    this.#ticks.clear();
    this.#calls.abort();
  }

  #fail(message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop();
    for (const failed of this.#plugins.values()) failed(message);
    for (const stream of this.#streams.values()) stream.moduleFailed();
    this.#streams.clear();
    this.#plugins.clear();
  }

  /** Sends a call without waiting for its result. A failure of the module reaches its users by `failed`. */
  #send(call: MachineCall): void {
    this.#thread.call(call).catch(() => undefined);
  }

  #apply(effects: readonly Effect[]): void {
    for (const effect of effects) this.#streams.get(effect.stream)?.effect(effect);
  }

  #tell(request: HostRequest): void {
    switch (request.kind) {
      case "log":
        this.#services.log(request.level, request.plugin, request.text);
        break;
      case "tick":
        this.#setTick(request.root, request.periodMs);
        break;
      case "call":
        void this.#callCluster(request.root, request.token, request.call);
        break;
      case "metric":
        if (request.operation === "record") this.#services.record(request.id, request.value);
        this.#services.store.changeMetric(request.id, request.operation, request.value);
        break;
    }
  }

  /** Sets the period of a plugin's timer. A tick starts only after the previous one has ended. */
  #setTick(root: number, periodMs: number): void {
    this.#ticks.get(root)?.[Symbol.dispose]();
    this.#ticks.delete(root);
    if (periodMs === 0 || this.#over) return;
    const tick = this.#services.clock.after(periodMs, () => {
      this.#thread.call({ kind: "tick", root }).then(
        () => {
          if (this.#ticks.get(root) === tick) this.#setTick(root, periodMs);
        },
        () => undefined,
      );
    });
    this.#ticks.set(root, tick);
  }

  async #callCluster(root: number, token: number, call: ModuleCall): Promise<void> {
    const value = (name: string): string => call.fields.find(([other]) => other === name)?.[1] ?? "";
    let answer: { readonly fields: Pairs; readonly body: Uint8Array; readonly trailers: Pairs } | undefined;
    try {
      const {
        status: code,
        headers,
        body,
      } = await this.#services.callCluster(
        {
          cluster: call.cluster,
          protocol: "http1",
          method: value(":method"),
          path: value(":path"),
          authority: value(":authority") || value("host"),
          headers: call.fields.filter(([name]) => !name.startsWith(":") && !ownFields.has(name)),
          body: Buffer.from(call.body),
          timeoutMs: call.timeoutMs === 0 ? maxCallMs : call.timeoutMs,
          maxAnswerBytes: maxCallAnswerBytes,
        },
        this.#calls.signal,
      );
      answer = { fields: [[":status", String(code)], ...headers], body, trailers: [] };
    } catch (error) {
      this.#services.log(debugLevel, "", `a call to ${call.cluster} failed: ${messageOf(error)}`);
    }
    this.#send({ kind: "answer", root, token, answer });
  }

  #ask(request: SharedRequest): SharedAnswer {
    const { store } = this.#services;
    const { vmId } = this.#options;
    switch (request.kind) {
      case "get":
        return store.get(vmId, request.key);
      case "set":
        return store.set(vmId, request.key, request.value, request.cas);
      case "register-queue":
        return store.registerQueue(vmId, request.name, (queue) =>
          this.#send({ kind: "queue", root: request.root, queue }),
        );
      case "resolve-queue":
        return store.resolveQueue(request.vmId, request.name);
      case "enqueue":
        return store.enqueue(request.queue, request.value);
      case "dequeue":
        return store.dequeue(request.queue);
      case "define-metric":
        return store.defineMetric(request.type, request.name);
      case "get-metric":
        return store.getMetric(request.id);
      case "has-cluster":
        return { status: this.#services.hasCluster(request.name) ? status.ok : status.notFound };
    }
  }
}

const debugLevel = 1;
/** The headers that the proxy itself writes into a call to a cluster, in place of the module's. */
const ownFields: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "connection"]);
