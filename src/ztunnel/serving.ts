import type { LogLevel } from "../base/index.ts";
import type { FamilyNames } from "../telemetry/index.ts";
import type { MeshChange } from "./state/mesh-change.ts";
import type { MeshState } from "./state/mesh-state.ts";
import type { WorkloadInfo } from "./state/model.ts";
import type { ServedPods } from "./proxy/served-pods.ts";

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

/** A pod with its connections. A pod that was handed over and then added again appears twice. */
export interface PodEntry {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly state: "serving" | "draining" | "closed";
  readonly connections: readonly ConnectionEntry[];
}

/** The code that serves the pods of a ztunnel: one data path in this thread, or several in worker threads. */
export interface Serving extends ServedPods {
  readonly state: MeshState;
  /**
   * Applies a change of the mesh. If it returns a promise, the promise resolves when all connections use the change.
   */
  apply(change: MeshChange): void | Promise<void>;
  setLogLevel(level: LogLevel): void;
  connections(): Promise<readonly ConnectionEntry[]>;
  pods(): Promise<readonly PodEntry[]>;
  /** The metrics in Prometheus' text format: all families, or only the named ones. */
  metrics(names?: FamilyNames): Promise<string>;
  /** Stops accepting for all pods. Live connections continue. */
  drain(): void;
  /** Resolves when no connection is open or being opened. Call it only after {@link drain}. */
  idle(): Promise<void>;
  /** The number of open connections. */
  readonly open: number;
  abortAll(reason: Error): void;
  end(): Promise<void>;
}
