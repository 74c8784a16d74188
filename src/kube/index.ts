// Access to any Kubernetes cluster: clients, informers, reconcilers, leases.
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
export { EventRecorder, type EventNote } from "./event-recorder.ts";
export { CollectionGraph, structurallyEqual, type SourceCollection } from "./collection/index.ts";
export { metadataExcerpt, pickExcerpt, type Excerpt } from "./excerpt.ts";
export type { WaitingPerson } from "./answer-watch.ts";
export { createKubeClient, type KubeConnection } from "./http-kube-client.ts";
export type { Informer, InformerChange } from "./informer.ts";
export {
  loadInClusterConfig,
  loadKubeConfig,
  clusterNameOfKubeConfig,
  parseUntrustedKubeConfig,
  type KubeConfig,
} from "./kube-config.ts";
export { impersonating } from "./kube-config-user.ts";
export { drainDeletedPod, LeaderElection } from "./leader-election.ts";
export { createInformer } from "./list-watch-informer.ts";
export { controllerOf, ownerReference } from "./owner-reference.ts";
export { objectsInManifest } from "./manifest.ts";
export { portForward, withPortForward } from "./port-forward.ts";
export { serveReadOnlyRelay } from "./read-only-relay.ts";
export type { OverlaidObject, ShownVersion } from "./relayed-watches.ts";
export { QueueMetrics } from "./queue-metrics.ts";
export { Reconciler, type ReconcilerOptions } from "./reconciler.ts";
export { podLogPath, resourcePath } from "./resource-path.ts";
export { errorOfStatus, isCode as isKubeCode, itemsIfServed, undefinedIfForbidden } from "./status-error.ts";

export { requestOverStream } from "./stream-request.ts";
export { execInPod, type PodExec } from "./pod-exec.ts";
