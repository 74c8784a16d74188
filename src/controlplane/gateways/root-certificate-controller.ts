import { clusterTrustBundleKind, configMapKind, namespaceKind, type ConfigMap } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";

export interface RootCertificateControllerOptions {
  readonly client: KubeClient;
  /** The roots of the mesh in PEM. */
  readonly root: () => string;
  /** Revocation lists in PEM. If empty, no ConfigMap is written. */
  readonly revocations?: () => string;
  readonly onRootChange: (changed: () => void) => void;
  /** The name of the root's ConfigMap, `istio-ca-root-cert` if absent. */
  readonly rootConfigMap?: string;
  /** The ConfigMap of the revocation lists. If undefined, they are not published. */
  readonly revocationConfigMap?: string | undefined;
  /** Whether a namespace belongs to the mesh. If absent, all namespaces do. */
  readonly includes?: (namespace: string) => boolean;
  /** Whether to publish the root in a ClusterTrustBundle instead. */
  readonly clusterTrustBundle?: boolean;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const rootCertificateName = "istio-ca-root-cert";
const rootCertificateKey = "root-cert.pem";
const revocationKey = "ca-crl.pem";
const fieldManager = "istiod-root-certificate";
/** Namespaces in which no part of the mesh runs. kube-system is not among them, because a ztunnel may run there. */
const leftOut = new Set(["kube-public", "kube-node-lease", "local-path-storage"]);
const copyLabel = "istio.io/config";
const bundleName = "istio.io:istiod-ca:root-cert";
const bundleSigner = "istio.io/istiod-ca";

/**
 * The time after which a namespace is checked again that the mesh config's selectors exclude. They may include it
 * later.
 */
const leftOutRetryMs = 10_000;

interface Copy {
  readonly name: string;
  readonly key: string;
  /** The content. If it is empty, nothing is written, and the control plane's former ConfigMap is deleted. */
  readonly text: () => string;
}

/**
 * Publishes the root and the revocation lists where workloads read them. All revisions publish the same root, so
 * several may write at once.
 */
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
    // Proxies would still use an old list of the control plane, so delete it. A user's ConfigMap stays, and so does an
    // empty list, which upstream writes when there is none.
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
