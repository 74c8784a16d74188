import { transientError } from "../../base/index.ts";
import { maxHandedBytes, messageBytes } from "./limits.ts";
import type {
  CallAnswer,
  Effect,
  HostRequest,
  MachineOptions,
  PluginOptions,
  SharedAnswer,
  SharedRequest,
} from "./messages.ts";
import type { BodyBuffer, StreamContext } from "./stream-context.ts";

export interface MachineHost {
  tell(request: HostRequest): void;
  ask(request: SharedRequest): SharedAnswer;
  nowNs(): bigint;
  steadyNs(): bigint;
  fillRandom(bytes: Uint8Array): void;
  /** The lowest level of which log lines are kept. */
  logLevel(): number;
}

export interface RootContext {
  readonly id: number;
  readonly plugin: PluginOptions;
  ended: boolean;
}

/** The state of the current call into the module, which host functions read and write. */
export class MachineState {
  /** The host. Each message to it counts as {@link messageBytes}. */
  readonly host: MachineHost;
  readonly options: MachineOptions;
  readonly roots = new Map<number, RootContext>();
  readonly streams = new Map<number, StreamContext>();
  current = 0;
  /** The context that the module has chosen instead of the current one. 0 if it has chosen none. */
  effective = 0;
  effects: Effect[] = [];
  /** The response to a call to a cluster, while the module processes it. */
  callAnswer: CallAnswer | undefined;
  /** The configuration of the plugin that is being configured. Undefined in other calls. */
  configuration: Uint8Array | undefined;
  openCalls = 0;
  logLines = 0;
  #handedBytes = 0;
  #nextToken = 1;

  constructor(host: MachineHost, options: MachineOptions) {
    this.host = {
      ...host,
      tell: (request) => {
        this.hand(messageBytes);
        host.tell(request);
      },
      ask: (request) => {
        this.hand(messageBytes);
        return host.ask(request);
      },
    };
    this.options = options;
  }

  beginCall(): void {
    this.effects = [];
    this.effective = 0;
    this.logLines = 0;
    this.#handedBytes = 0;
  }

  /**
   * Counts bytes that the module hands to its host. Throws if they are too many for one call: the host could not
   * process them as fast as a loop of the module sends them, and nothing else would hold the loop back.
   */
  hand(bytes: number): void {
    this.#handedBytes += bytes;
    if (this.#handedBytes > maxHandedBytes)
      throw transientError(
        "module-failed",
        `the module hands more than ${maxHandedBytes} bytes to its proxy in one call`,
      );
  }

  get context(): number {
    return this.effective === 0 || !this.knows(this.effective) ? this.current : this.effective;
  }

  get stream(): StreamContext | undefined {
    return this.streams.get(this.context);
  }

  get root(): RootContext | undefined {
    const { context } = this;
    return this.roots.get(this.streams.get(context)?.root ?? context);
  }

  knows(context: number): boolean {
    return this.streams.has(context) || this.roots.has(context);
  }

  nextToken(): number {
    return (this.#nextToken = (this.#nextToken % 0xffff_fffe) + 1);
  }

  readOnly(bytes: Uint8Array | undefined): Pick<BodyBuffer, "bytes"> | undefined {
    return bytes === undefined ? undefined : { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  }
}
