import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import { namespaceKind, podKind, type Namespace } from "../../../api/kubernetes/index.ts";
import { isKubeCode, resourcePath } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { discoverKinds } from "./discovery.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { inBatches } from "../pods/pod-control.ts";

/** The growing wait between looks at a terminating namespace. The end of a pod causes a look at once. */
const lookAgainMs = 250;
const lookAgainMaxMs = 15_000;
const namespaceFinalizer = "kubernetes";

/** Deletes the contents of a terminating namespace, and then removes it. */
export function addNamespaceController(context: ControllerContext): void {
  const namespaces = context.view(namespaceKind);
  const rounds = new Map<string, number>();
  const queue = context.queue("namespace", async (name) => {
    const namespace = namespaces.at(name);
    if (
      namespace === undefined ||
      !isTerminating(namespace) ||
      !(namespace.spec?.finalizers ?? []).includes(namespaceFinalizer)
    ) {
      rounds.delete(name);
      return undefined;
    }
    const left = await deleteContent(context, name);
    await reportProgress(context, namespace, left);
    if (left.size > 0) {
      const round = rounds.get(name) ?? 0;
      rounds.set(name, round + 1);
      return Math.min(lookAgainMaxMs, lookAgainMs * 2 ** round);
    }
    const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== namespaceFinalizer);
    const body = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, uid: namespace.metadata.uid },
      spec: { finalizers },
    };
    await ignoreGone(async () => {
      namespaces.wrote(
        await context.client.update<Namespace>(namespaceKind, body as Namespace, { subresource: "finalize" }),
      );
    });
    return undefined;
  });
  enqueueOn(namespaces, queue);
  context.view(podKind).onChange(({ type, object }) => {
    const namespace = namespaces.at(object.metadata.namespace ?? "");
    if (type === "delete" && namespace !== undefined && isTerminating(namespace))
      queue.add(namespace.metadata.name ?? "");
  });
}

/** Deletes everything in the namespace. Returns the number of remaining objects by resource. */
async function deleteContent(context: ControllerContext, namespace: string): Promise<Map<string, number>> {
  const left = new Map<string, number>();
  const kinds = (await discoverKinds(context.client)).filter((kind) => kind.namespaced && !isShadow(kind));
  await inBatches(kinds, async (kind) => {
    const items = await listOf(context, kind, namespace);
    if (items.length === 0) return;
    await inBatches(
      items.filter((item) => !isTerminating(item)),
      async (item) => {
        await ignoreGone(() =>
          context.client.delete(kind, item.metadata.name ?? "", namespace, { propagationPolicy: "Background" }),
        );
      },
    );
    // Objects without finalizers and grace period are deleted by now.
    const remaining = items.some(
      (item) => isTerminating(item) || kind.kind === "Pod" || (item.metadata.finalizers?.length ?? 0) > 0,
    )
      ? await listOf(context, kind, namespace)
      : [];
    if (remaining.length > 0)
      left.set(kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`, remaining.length);
  });
  return left;
}

/** Whether the kind is a second view of Events, which exist in two groups. */
function isShadow(kind: KindDefinition): boolean {
  return kind.group === "events.k8s.io";
}

async function listOf(
  context: ControllerContext,
  kind: KindDefinition<KubernetesObject>,
  namespace: string,
): Promise<readonly KubernetesObject[]> {
  try {
    return (await context.client.list(kind, { namespace })).items;
  } catch (error) {
    // The kind's CRD was removed meanwhile.
    if (isKubeCode(error, "not-found") || isKubeCode(error, "method-not-allowed")) return [];
    throw error;
  }
}

async function reportProgress(
  context: ControllerContext,
  namespace: Namespace,
  left: ReadonlyMap<string, number>,
): Promise<void> {
  const { name = "" } = namespace.metadata;
  const remaining = [...left].map(([resource, count]) => `${resource} has ${count} resource instances`).join(", ");
  const before = namespace.status?.conditions?.find(({ type }) => type === "NamespaceContentRemaining");
  const message = left.size === 0 ? "All content successfully removed" : `Some resources are remaining: ${remaining}`;
  if (left.size === 0 || before?.["message"] === message) return;
  const condition = {
    type: "NamespaceContentRemaining",
    status: "True",
    reason: "SomeResourcesRemain",
    message,
    lastTransitionTime: context.now(),
  };
  await ignoreGone(async () => {
    await context.client.raw("PATCH", `${resourcePath(namespaceKind, undefined, name)}/status`, {
      contentType: "application/merge-patch+json",
      body: { status: { phase: "Terminating", conditions: [condition] } },
    });
  });
}

async function ignoreGone(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isKubeCode(error, "not-found") && !isKubeCode(error, "conflict")) throw error;
  }
}
