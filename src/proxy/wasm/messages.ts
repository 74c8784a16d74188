import type { Pairs } from "./pairs.ts";

/**
 * A value that a module can read about a stream. Integers are numbers or bigints. Times and durations are in
 * nanoseconds.
 */
export type Attribute = string | number | bigint | boolean | Uint8Array | AttributeMap;
export interface AttributeMap {
  readonly [name: string]: Attribute;
}

/** A plugin that a module runs. Each plugin has its own context in the module. */
export interface PluginOptions {
  readonly name: string;
  readonly rootId: string;
  readonly configuration: Uint8Array;
}

export interface MachineOptions {
  readonly vmId: string;
  readonly configuration: Uint8Array;
  readonly environment: readonly (readonly [name: string, value: string])[];
  /** The facts about the node, which the module can read as properties. */
  readonly node: AttributeMap;
}

export type Side = "request" | "response";

export type StreamEvent =
  | { readonly kind: "headers"; readonly side: Side; readonly fields: Pairs; readonly end: boolean }
  | { readonly kind: "body"; readonly side: Side; readonly bytes: Uint8Array; readonly end: boolean }
  | { readonly kind: "trailers"; readonly side: Side; readonly fields: Pairs }
  | { readonly kind: "done" };

export interface ModuleReply {
  readonly status: number;
  readonly details: string;
  readonly body: Uint8Array;
  readonly fields: Pairs;
  /** The status for a gRPC client. Undefined if the module sets none. */
  readonly grpcStatus: number | undefined;
}

export type Effect =
  | { readonly kind: "fields"; readonly stream: number; readonly map: number; readonly fields: Pairs }
  /** The request or the response continues with the held part of its body. */
  | { readonly kind: "continue"; readonly stream: number; readonly side: Side; readonly body: Uint8Array | undefined }
  | { readonly kind: "reply"; readonly stream: number; readonly reply: ModuleReply }
  | { readonly kind: "close"; readonly stream: number }
  | { readonly kind: "clear-route"; readonly stream: number }
  | { readonly kind: "property"; readonly stream: number; readonly path: string; readonly value: Uint8Array };

/** A request that a module makes to its host and that concerns no stream. */
export type HostRequest =
  | { readonly kind: "log"; readonly level: number; readonly plugin: string; readonly text: string }
  | { readonly kind: "tick"; readonly root: number; readonly periodMs: number }
  | { readonly kind: "call"; readonly root: number; readonly token: number; readonly call: ModuleCall }
  | {
      readonly kind: "metric";
      readonly id: number;
      readonly operation: "add" | "set" | "record";
      readonly value: bigint;
    };

export interface ModuleCall {
  readonly cluster: string;
  readonly fields: Pairs;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

export interface CallAnswer {
  readonly fields: Pairs;
  readonly body: Uint8Array;
  readonly trailers: Pairs;
}

/**
 * A request whose result the module needs before it continues. The data is shared with other modules, so it is in
 * another thread.
 */
export type SharedRequest =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "set"; readonly key: string; readonly value: Uint8Array; readonly cas: number }
  | { readonly kind: "register-queue"; readonly name: string; readonly root: number }
  | { readonly kind: "resolve-queue"; readonly vmId: string; readonly name: string }
  | { readonly kind: "enqueue"; readonly queue: number; readonly value: Uint8Array }
  | { readonly kind: "dequeue"; readonly queue: number }
  | { readonly kind: "define-metric"; readonly type: number; readonly name: string }
  | { readonly kind: "get-metric"; readonly id: number }
  | { readonly kind: "has-cluster"; readonly name: string };

export interface SharedAnswer {
  readonly status: number;
  readonly bytes?: Uint8Array;
  /** The number for compare-and-swap, or the number of a queue or a metric. */
  readonly number?: number;
  readonly long?: bigint;
}

export type MachineCall =
  | { readonly kind: "configure"; readonly plugin: PluginOptions }
  | { readonly kind: "open"; readonly root: number; readonly attributes: AttributeMap; readonly event: StreamEvent }
  | {
      readonly kind: "event";
      readonly stream: number;
      readonly event: StreamEvent;
      readonly attributes: AttributeMap | undefined;
    }
  | { readonly kind: "tick"; readonly root: number }
  | { readonly kind: "queue"; readonly root: number; readonly queue: number }
  | { readonly kind: "answer"; readonly root: number; readonly token: number; readonly answer: CallAnswer | undefined }
  | { readonly kind: "end"; readonly root: number };

export interface MachineAnswer {
  /** The context that `configure` or `open` has made. 0 if the module has refused. */
  readonly context: number;
  /** The action that the module has chosen, by its number in the ABI. */
  readonly action: number;
  /**
   * The part of the body that passes, as the module may have changed it. Undefined if the module's action holds the
   * body.
   */
  readonly body: Uint8Array | undefined;
  readonly effects: readonly Effect[];
}
