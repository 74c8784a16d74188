import { configMapKind, namespaceKind } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type KubeClient } from "../../kube/index.ts";

export interface RootCertificateControllerOptions {
  readonly client: KubeClient;
  /** PEM. */
  readonly root: () => string;
  /** Calls whenever the root is another one. */
  readonly onRootChange: (changed: () => void) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export const rootCertificateName = "istio-ca-root-cert";
const rootCertificateKey = "root-cert.pem";
const fieldManager = "istiod-root-certificate";
/** Nothing of the mesh runs there. */
const leftOut = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);

/** Keeps the ConfigMap `istio-ca-root-cert` in every namespace. All revisions share a root, so all may do it at once. */
export async function runRootCertificateController(options: RootCertificateControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, root, onRootChange, clock, log } = options;
  const namespaces = createInformer(client, namespaceKind, { log, clock });
  const copies = createInformer(client, configMapKind, { log, clock, fieldSelector: `metadata.name=${rootCertificateName}` });
  const reconciler = new Reconciler({
    name: "root-certificate",
    log,
    clock,
    maxAttempts: Infinity,
    after: [namespaces.synced, copies.synced],
    reconcile: async (namespace) => {
      const found = namespaces.get(namespace);
      if (found === undefined || found.metadata.deletionTimestamp !== undefined || leftOut.has(namespace)) return;
      if (copies.get(`${namespace}/${rootCertificateName}`)?.data?.[rootCertificateKey] === root()) return;
      await client.apply(
        configMapKind,
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: rootCertificateName, namespace, labels: { "istio.io/config": "true" } },
          data: { [rootCertificateKey]: root() },
        },
        { fieldManager, force: true },
      );
    },
  });
  namespaces.subscribe((change) => reconciler.add(change.key));
  copies.subscribe((change) => reconciler.add(change.object.metadata.namespace ?? ""));
  onRootChange(() => {
    for (const { metadata } of namespaces.list()) reconciler.add(metadata.name ?? "");
  });
  await Promise.all([namespaces.run(signal), copies.run(signal), reconciler.run(signal)]);
}
