import { clusterTrustBundleKind, configMapKind, namespaceKind } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import type { ConfigMap } from "../../api/kubernetes/index.ts";

export interface RootCertificateControllerOptions {
  readonly client: KubeClient;
  /** PEM. */
  readonly root: () => string;
  /** Revocation lists in PEM; empty for none, of which nothing is told. */
  readonly revocations?: () => string;
  /** Calls whenever the root or the revocation lists are others. */
  readonly onRootChange: (changed: () => void) => void;
  /** `istio-ca-root-cert` when absent. */
  readonly rootConfigMap?: string;
  /** `istio-ca-crl` when absent; undefined: revocation lists are not told. */
  readonly revocationConfigMap?: string | undefined;
  /** Whether a namespace is one of the mesh's; all are when absent. */
  readonly includes?: (namespace: string) => boolean;
  /** The root is told by a ClusterTrustBundle instead. */
  readonly clusterTrustBundle?: boolean;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const rootCertificateName = "istio-ca-root-cert";
const rootCertificateKey = "root-cert.pem";
const revocationKey = "ca-crl.pem";
const fieldManager = "istiod-root-certificate";
/** Nothing of the mesh runs there; a ztunnel may be in kube-system. */
const leftOut = new Set(["kube-public", "kube-node-lease", "local-path-storage"]);
const copyLabel = "istio.io/config";
const bundleName = "istio.io:istiod-ca:root-cert";
const bundleSigner = "istio.io/istiod-ca";

/** What the mesh config's selectors leave out may be let in later. */
const leftOutRetryMs = 10_000;

/** One ConfigMap that every namespace has. */
interface Copy {
  readonly name: string;
  readonly key: string;
  /** Empty: nothing is written, and what was is taken away. */
  readonly text: () => string;
}

/** Keeps the root where workloads look for it. All revisions share a root, so all may do it at once. */
export async function runRootCertificateController(
  options: RootCertificateControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  const {
    root,
    revocations,
    rootConfigMap = rootCertificateName,
    revocationConfigMap,
    clusterTrustBundle = false,
  } = options;
  const copies: Copy[] = [
    ...(clusterTrustBundle ? [] : [{ name: rootConfigMap, key: rootCertificateKey, text: root }]),
    ...(revocationConfigMap === undefined || revocations === undefined
      ? []
      : [{ name: revocationConfigMap, key: revocationKey, text: revocations }]),
  ];
  await Promise.all([
    ...(clusterTrustBundle ? [keepBundle(options, signal)] : []),
    keepCopies(options, copies, signal),
  ]);
}

async function keepCopies(
  options: RootCertificateControllerOptions,
  kept: readonly Copy[],
  signal: AbortSignal,
): Promise<void> {
  const { client, includes = () => true, onRootChange, queues, clock, log } = options;
  if (kept.length === 0) return;
  const namespaces = createInformer(client, namespaceKind, { log, clock });
  const copies = kept.map((copy) => ({
    copy,
    informer: createInformer(client, configMapKind, { log, clock, fieldSelector: `metadata.name=${copy.name}` }),
  }));
  const reconciler = new Reconciler({
    name: "root-certificate",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    after: [namespaces.synced, ...copies.map(({ informer }) => informer.synced)],
    reconcile: async (namespace) => {
      const found = namespaces.get(namespace);
      if (found === undefined || found.metadata.deletionTimestamp !== undefined || leftOut.has(namespace))
        return undefined;
      if (!includes(namespace)) return leftOutRetryMs;
      for (const { copy, informer } of copies) await write(client, copy, informer, namespace);
      return undefined;
    },
  });
  namespaces.subscribe((change) => reconciler.add(change.key));
  for (const { informer } of copies)
    informer.subscribe((change) => reconciler.add(change.object.metadata.namespace ?? ""));
  onRootChange(() => {
    for (const { metadata } of namespaces.list()) reconciler.add(metadata.name ?? "");
  });
  await Promise.all([
    namespaces.run(signal),
    ...copies.map(({ informer }) => informer.run(signal)),
    reconciler.run(signal),
  ]);
}

async function write(
  client: KubeClient,
  { name, key, text }: Copy,
  informer: Informer<ConfigMap>,
  namespace: string,
): Promise<void> {
  const wanted = text();
  const found = informer.get(`${namespace}/${name}`);
  if (wanted === "") {
    // Old lists would go on being believed; what a user has put there is the user's, and an empty one is upstream's way to say that there is none.
    const resourceVersion = found?.metadata.resourceVersion;
    if (
      resourceVersion !== undefined &&
      (found?.data?.[key] ?? "").trim() !== "" &&
      found?.metadata.labels?.[copyLabel] === "true"
    )
      await client.delete(configMapKind, name, namespace, { preconditions: { resourceVersion } });
    return;
  }
  if (found?.data?.[key] === wanted) return;
  const metadata = { name, namespace, labels: { [copyLabel]: "true" } };
  await client.apply(
    configMapKind,
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [key]: wanted } },
    { fieldManager, force: true },
  );
}

async function keepBundle(
  { client, root, onRootChange, queues, clock, log }: RootCertificateControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  const informer = createInformer(client, clusterTrustBundleKind, {
    log,
    clock,
    fieldSelector: `metadata.name=${bundleName}`,
  });
  const reconciler = new Reconciler({
    name: "trust-bundle",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    after: [informer.synced],
    reconcile: async () => {
      if (informer.get(bundleName)?.spec.trustBundle === root()) return;
      const spec = { signerName: bundleSigner, trustBundle: root() };
      await client.apply(
        clusterTrustBundleKind,
        { apiVersion: "certificates.k8s.io/v1beta1", kind: "ClusterTrustBundle", metadata: { name: bundleName }, spec },
        { fieldManager, force: true },
      );
    },
  });
  reconciler.add(bundleName);
  informer.subscribe(() => reconciler.add(bundleName));
  onRootChange(() => reconciler.add(bundleName));
  await Promise.all([informer.run(signal), reconciler.run(signal)]);
}
