import type { LogLevel } from "../../base/index.ts";
import type { CertificateParts, EndpointAnswer, XdsUpdate } from "../../dataplane/index.ts";
import type { ResolvedName } from "../../dataplane/dns/index.ts";
import type { FamilySnapshot } from "../../telemetry/index.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import type { ClusterStatus, ServingStatus, Statistic } from "../serving.ts";
import type { Ejection } from "../upstream/cluster.ts";
import type { LimitsMemory } from "./worker-limits.ts";

export interface WorkerStart {
  readonly settings: ProxySettings;
  readonly startedMs: number;
  readonly logLevel: LogLevel;
  /** The index of the worker, from 0. */
  readonly worker: number;
  readonly limits: LimitsMemory;
}

export interface UpdateOutcome {
  /** Why the worker refused the update. Undefined if it accepted it. */
  readonly error: string | undefined;
  readonly names: ReadonlyMap<string, readonly string[]>;
}

/** Calls from the process to a worker. */
export type WorkerCalls = {
  readonly update: (update: XdsUpdate) => UpdateOutcome;
  readonly certify: (parts: CertificateParts) => void;
  readonly setLogLevel: (level: LogLevel) => void;
  readonly status: (nothing: undefined) => ServingStatus;
  readonly failHealthChecks: (fails: boolean) => void;
  readonly drain: (inboundOnly: boolean) => void;
  readonly closeUnused: (nothing: undefined) => void;
  readonly stopListening: (nothing: undefined) => void;
  readonly closeQuiet: (quietMs: number) => void;
  readonly closeAll: (nothing: undefined) => void;
  /** Resolves when the worker has ended. */
  readonly end: (nothing: undefined) => void;
  /** Makes the worker end without waiting for anything. */
  readonly force: (nothing: undefined) => void;
  /** Ejects an endpoint that another worker has ejected. */
  readonly eject: (ejection: Ejection) => void;
  /** Returns at once, to show that the worker is not stuck. */
  readonly live: (nothing: undefined) => void;
  readonly owns: (ports: { readonly remotePort: number; readonly localPort: number }) => boolean;
  readonly answer: (target: string) => EndpointAnswer;
  readonly clusters: (nothing: undefined) => readonly ClusterStatus[];
  readonly statistics: (nothing: undefined) => readonly Statistic[];
  readonly metrics: (nothing: undefined) => readonly FamilySnapshot[];
};

/** Calls from a worker to the process. */
export type ProcessCalls = {
  /** Resolves a name that a client requests, or that is in the configuration. */
  readonly resolve: (question: { readonly name: string; readonly client: string | undefined }) => ResolvedName;
  /** Reports the names that the worker needs from now on, by type, when they change between two updates. */
  readonly need: (names: UpdateOutcome["names"]) => void;
  /** Reports an endpoint that the worker has ejected, so that the other workers eject it too. */
  readonly ejected: (ejection: Ejection) => void;
};
