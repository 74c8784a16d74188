import type { LogLevel } from "../base/index.ts";
import type { MeshChange } from "./state/mesh-change.ts";
import type { MeshState } from "./state/mesh-state.ts";
import type { WorkloadInfo } from "./state/model.ts";
import type { ServedPods } from "./zds/served-pods.ts";

/** A live connection, as the admin server shows it. */
export interface ConnectionEntry {
  readonly id: number;
  readonly openedAtMs: number;
  readonly draining: boolean;
  readonly pod: string;
  readonly direction: "inbound" | "outbound";
  readonly protocol: "HBONE" | "TCP";
  /** `address:port`. */
  readonly source: string;
  readonly destination: string;
  readonly hboneTarget?: string;
}

/** A pod with its connections. One that was handed over and came back is listed twice. */
export interface PodEntry {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly state: "serving" | "draining" | "closed";
  readonly connections: readonly ConnectionEntry[];
}

/** What serves the pods of a ztunnel: one data path in this thread, or several in threads of their own. */
export interface Serving extends ServedPods {
  /** What the mesh is known to be. */
  readonly state: MeshState;
  /** Changes the mesh; a promise resolves when it holds for all connections. */
  apply(change: MeshChange): void | Promise<void>;
  setLogLevel(level: LogLevel): void;
  connections(): Promise<readonly ConnectionEntry[]>;
  pods(): Promise<readonly PodEntry[]>;
  /** What has been counted, in Prometheus' text format. */
  metrics(): Promise<string>;
  /** No pod accepts any more; what lives goes on. */
  drain(): void;
  /** Resolves when no connection lives. */
  idle(): Promise<void>;
  /** How many connections live. */
  readonly open: number;
  abortAll(reason: Error): void;
  /** Ends everything. */
  end(): Promise<void>;
}
