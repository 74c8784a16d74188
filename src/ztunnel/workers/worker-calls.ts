import type { LogLevel } from "../../base/index.ts";
import type { CertificateParts } from "../../dataplane/tunnels/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { FamilySnapshot } from "../../telemetry/index.ts";
import type { ZtunnelConfig } from "../config.ts";
import type { AcceptedKind } from "../proxy/connection-share.ts";
import type { ConnectionEntry, PodEntry } from "../serving.ts";
import type { MeshChange } from "../state/mesh-change.ts";
import type { AddedPod } from "../zds/served-pods.ts";

/** What a worker begins with. */
export interface WorkerStart {
  readonly config: ZtunnelConfig;
  readonly nameservers: readonly string[];
  readonly logLevel: LogLevel;
  /** The index of the worker, from 0. */
  readonly worker: number;
  readonly share: SharedArrayBuffer;
}

/** A connection that one worker offers to another. The descriptor stays the first one's. */
export interface OfferedConnection {
  readonly uid: string;
  readonly kind: AcceptedKind;
  readonly fd: number;
  /** Tells the connection from another that has got the number of its descriptor. */
  readonly remote: SocketAddress;
}

/** What the process asks of a worker. */
export type WorkerCalls = {
  readonly mesh: (change: MeshChange) => void;
  readonly certify: (parts: CertificateParts) => void;
  readonly forget: (identity: string) => void;
  readonly setLogLevel: (level: LogLevel) => void;
  /** Serves a pod with copies of its descriptors. Answers what was wrong. */
  readonly addPod: (pod: AddedPod) => string | undefined;
  /** Answered when the pod accepts nothing any more. */
  readonly removePod: (removed: { readonly uid: string; readonly handedOver: boolean }) => void;
  /** Answered when nothing is left of a removed pod. */
  readonly podClosed: (uid: string) => void;
  /** Whether the worker has taken it. */
  readonly take: (offered: OfferedConnection) => boolean;
  readonly connections: (nothing: undefined) => readonly ConnectionEntry[];
  readonly pods: (nothing: undefined) => readonly PodEntry[];
  readonly metrics: (nothing: undefined) => readonly FamilySnapshot[];
  readonly drain: (nothing: undefined) => void;
  /** Answered when no connection lives. */
  readonly idle: (nothing: undefined) => void;
  readonly abortAll: (reason: string) => void;
  /** Answered when it has ended. */
  readonly end: (nothing: undefined) => void;
  /** Answers that it lives. */
  readonly live: (nothing: undefined) => void;
};

/** What a worker asks of the process. */
export type ProcessCalls = {
  /** Fetches the certificate of an identity, unless it is there. It comes by `certify`. */
  readonly needCertificate: (identity: string) => void;
  /** Why there is no certificate. */
  readonly certificateTrouble: (identity: string) => string | undefined;
  /** Offers a connection to another worker. Answers whether that one has taken it. */
  readonly offer: (offer: { readonly to: number; readonly offered: OfferedConnection }) => boolean;
  /** The number of live connections has changed while the process drains. */
  readonly left: (nothing: undefined) => void;
};
