// Access to any Kubernetes: clients, informers, reconcilers, leases.
export type {
  ApplyOptions,
  DeleteOptions,
  KubeClient,
  ListOptions,
  ListResult,
  RawOptions,
  RawResponse,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
export type { Collection, CollectionChange, CollectionIndex, CollectionReader, CollectionStats } from "./collection.ts";
export { denialIn, lacksDryRun, type Denial } from "./denial.ts";
export { EventRecorder, type EventNote, type EventRecorderOptions } from "./event-recorder.ts";
export {
  CollectionGraph,
  structurallyEqual,
  type CollectionGraphOptions,
  type Compute,
  type SourceCollection,
} from "./collection/index.ts";
export { metadataExcerpt, pickExcerpt, type Excerpt } from "./excerpt.ts";
export { createKubeClient, type KubeClientOptions, type KubeConnection } from "./http-kube-client.ts";
export type { Informer, InformerChange } from "./informer.ts";
export {
  loadInClusterConfig,
  loadKubeConfig,
  clusterNameOfKubeConfig,
  parseUntrustedKubeConfig,
  type InsecureKubeConfigOption,
  type KubeConfig,
} from "./kube-config.ts";
export { impersonating, type Impersonation, type TokenSource } from "./kube-config-user.ts";
export { drainDeletedPod, LeaderElection, type LeaderElectionOptions } from "./leader-election.ts";
export { createInformer, type InformerOptions } from "./list-watch-informer.ts";
export { controllerOf, ownerReference } from "./owner-reference.ts";
export { objectsInManifest } from "./manifest.ts";
export { portForward, withPortForward, type PortForwardTarget } from "./port-forward.ts";
export { serveReadOnlyRelay, type ReadOnlyRelay, type ReadOnlyRelayOptions } from "./read-only-relay.ts";
export type { OverlaidObject, ShownVersion } from "./relayed-watches.ts";
export { QueueMetrics } from "./queue-metrics.ts";
export { Reconciler, type ReconcilerOptions } from "./reconciler.ts";
export { podLogPath, resourcePath } from "./resource-path.ts";
export { errorOfStatus, isCode as isKubeCode, itemsIfServed, undefinedIfForbidden } from "./status-error.ts";

export { requestOverStream, type StreamExchange } from "./stream-request.ts";
export { execInPod, type PodExec, type PodExecOptions } from "./pod-exec.ts";
