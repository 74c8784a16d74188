import type { LogLevel } from "../../base/index.ts";
import type { CertificateParts } from "../../dataplane/tunnels/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { FamilySnapshot } from "../../telemetry/index.ts";
import type { ZtunnelConfig } from "../config.ts";
import type { AcceptedKind } from "../proxy/connection-share.ts";
import type { ConnectionEntry, PodEntry } from "../serving.ts";
import type { MeshChange } from "../state/mesh-change.ts";
import type { AddedPod } from "../proxy/served-pods.ts";

export interface WorkerStart {
  readonly config: ZtunnelConfig;
  readonly nameservers: readonly string[];
  readonly logLevel: LogLevel;
  /** The index of the worker, from 0. */
  readonly worker: number;
  readonly share: SharedArrayBuffer;
  /** The process's own network namespace. */
  readonly ownNamespaceFd: number;
}

/** A connection that one worker offers to another. The offering worker keeps its descriptor open until the answer. */
export interface OfferedConnection {
  readonly uid: string;
  readonly kind: AcceptedKind;
  readonly fd: number;
  /** The peer's address. It shows whether the descriptor's number belongs to another connection by now. */
  readonly remote: SocketAddress;
}

/** Calls from the process to a worker. */
export type WorkerCalls = {
  readonly mesh: (change: MeshChange) => void;
  readonly certify: (parts: CertificateParts) => void;
  readonly forget: (identity: string) => void;
  readonly setLogLevel: (level: LogLevel) => void;
  /** Serves a pod with copies of its listening sockets. Returns the error, if any. */
  readonly addPod: (pod: AddedPod) => string | undefined;
  /** Returns when the pod no longer accepts connections. */
  readonly removePod: (removed: { readonly uid: string; readonly handedOver: boolean }) => void;
  /** Returns when a removed pod has no connections left. */
  readonly podClosed: (uid: string) => void;
  readonly take: (offered: OfferedConnection) => boolean;
  readonly connections: (nothing: undefined) => readonly ConnectionEntry[];
  readonly pods: (nothing: undefined) => readonly PodEntry[];
  readonly metrics: (nothing: undefined) => readonly FamilySnapshot[];
  readonly drain: (nothing: undefined) => void;
  /** Returns when no connection is open. */
  readonly idle: (nothing: undefined) => void;
  readonly abortAll: (reason: string) => void;
  /** Returns when the worker has ended. */
  readonly end: (nothing: undefined) => void;
  /** Returns at once, which shows that the worker is not stuck. */
  readonly live: (nothing: undefined) => void;
};

/** Calls from a worker to the process. */
export type ProcessCalls = {
  /** Fetches the certificate of an identity, unless it exists. The result comes by `certify`. */
  readonly needCertificate: (identity: string) => void;
  readonly certificateTrouble: (identity: string) => string | undefined;
  /** Offers a connection to another worker. Returns whether that worker has taken it. */
  readonly offer: (offer: { readonly to: number; readonly offered: OfferedConnection }) => boolean;
  /** Reports a change in the number of live connections while the process drains. */
  readonly left: (nothing: undefined) => void;
};
