import { configMapKind, namespaceKind, serviceAccountKind, type Namespace } from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { isTerminating } from "../pods/pod-facts.ts";

const rootCaName = "kube-root-ca.crt";

/** Gives each namespace the ServiceAccount `default` and the ConfigMap with the cluster's root certificate. */
export function addNamespaceContentControllers(context: ControllerContext, rootCaPem: string): void {
  const namespaces = context.view(namespaceKind);
  const accounts = context.view(serviceAccountKind);
  const maps = context.view(configMapKind, `metadata.name=${rootCaName}`);
  const living = (name: string): Namespace | undefined => {
    const namespace = namespaces.at(name);
    return namespace === undefined || isTerminating(namespace) || namespace.status?.phase === "Terminating"
      ? undefined
      : namespace;
  };

  const accountQueue = context.queue("serviceaccount", async (name) => {
    if (living(name) === undefined || accounts.get(name, "default") !== undefined) return;
    await ifStillThere(async () =>
      accounts.wrote(
        await context.client.create(serviceAccountKind, { metadata: { name: "default", namespace: name } }),
      ),
    );
  });
  const rootCaQueue = context.queue("root-ca", async (name) => {
    if (living(name) === undefined) return;
    const data = { "ca.crt": rootCaPem };
    const found = maps.get(name, rootCaName);
    if (found?.data?.["ca.crt"] === rootCaPem && Object.keys(found.data).length === 1) return;
    await ifStillThere(async () => {
      if (found === undefined)
        maps.wrote(
          await context.client.create(configMapKind, {
            metadata: {
              name: rootCaName,
              namespace: name,
              annotations: { "kubernetes.io/description": "The certificate authority of this cluster's API server." },
            },
            data,
          }),
        );
      else maps.wrote(await context.client.update(configMapKind, { ...found, data }));
    });
  });

  for (const queue of [accountQueue, rootCaQueue]) enqueueOn(namespaces, queue);
  accounts.onChange(({ type, object }) => {
    if (type === "delete" && object.metadata.name === "default") accountQueue.add(object.metadata.namespace ?? "");
  });
  maps.onChange(({ object }) => rootCaQueue.add(object.metadata.namespace ?? ""));
}

/**
 * Ignores the errors of a write to a namespace that is being deleted, and of a write that another process made first.
 */
async function ifStillThere(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(["already-exists", "not-found", "forbidden"] as const).some((code) => isKubeCode(error, code))) throw error;
  }
}
