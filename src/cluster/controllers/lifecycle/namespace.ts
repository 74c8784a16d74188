import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import { namespaceKind, podKind, type Namespace } from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, ignoreRace, type ControllerContext } from "../controller.ts";
import { discoverKinds } from "./discover-kinds.ts";
import { conditionsOf, type NamespaceContent } from "./namespace-conditions.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { inBatches } from "../pods/pod-control.ts";

/**
 * The first wait between two checks of a terminating namespace. The wait grows, and starts anew when fewer objects are
 * left. When an object of the namespace ends, a check follows soon. One check lists every kind, so objects that end
 * together should share it.
 */
const lookAgainMs = 250;
const lookAgainMaxMs = 15_000;
const afterEndMs = 50;
const namespaceFinalizer = "kubernetes";

/**
 * Deletes the contents of a terminating namespace, and then the namespace. Call the returned function when an object of
 * a namespace has ended.
 */
export function addNamespaceController(context: ControllerContext): (namespace: string) => void {
  const namespaces = context.view(namespaceKind);
  /**
   * The namespaces that wait for objects to end. `round` is the number of checks since the last progress, and `left`
   * the number of objects at that progress.
   */
  const waiting = new Map<string, { readonly round: number; readonly left: number }>();
  const waking = new Set<string>();
  const queue = context.queue("namespace", async (name) => {
    const namespace = namespaces.at(name);
    if (
      namespace === undefined ||
      !isTerminating(namespace) ||
      !(namespace.spec?.finalizers ?? []).includes(namespaceFinalizer)
    ) {
      waiting.delete(name);
      return undefined;
    }
    const content = await deleteContent(context, name);
    await reportProgress(context, namespace, content);
    if (content.failures.length > 0) throw content.failures[0];
    if (content.left.size > 0) {
      const left = [...content.left.values()].reduce((total, count) => total + count, 0);
      const before = waiting.get(name);
      const round = before === undefined || left < before.left ? 0 : before.round + 1;
      waiting.set(name, { round, left });
      return Math.min(lookAgainMaxMs, lookAgainMs * 2 ** round);
    }
    const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== namespaceFinalizer);
    const body = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, uid: namespace.metadata.uid },
      spec: { finalizers },
    };
    await ignoreRace(async () => {
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
  return (name) => {
    if (!waiting.has(name) || waking.has(name)) return;
    waking.add(name);
    context.clock.after(afterEndMs, () => {
      waking.delete(name);
      queue.add(name);
    });
  };
}

/**
 * Deletes everything in the namespace. As in Kubernetes, the pods are deleted first: objects that protect them, such as
 * NetworkPolicies, stay until the last pod is gone.
 */
async function deleteContent(context: ControllerContext, namespace: string): Promise<NamespaceContent> {
  const content: NamespaceContent = { left: new Map(), finalizers: new Map(), failures: [] };
  const kinds = (await discoverKinds(context.client)).filter((kind) => kind.namespaced && !isShadow(kind));
  const isPod = ({ group, kind }: KindDefinition): boolean => group === "" && kind === "Pod";
  const remove = async (kind: KindDefinition<KubernetesObject>): Promise<void> => {
    try {
      note(content, kind, await deleteAll(context, kind, namespace));
    } catch (error) {
      content.failures.push(error);
    }
  };
  for (const kind of kinds.filter(isPod)) await remove(kind);
  if (content.left.size + content.failures.length > 0) return content;
  await inBatches(
    kinds.filter((kind) => !isPod(kind)),
    remove,
  );
  return content;
}

/** Deletes the objects of a kind in the namespace. Returns the objects that still exist. */
async function deleteAll(
  context: ControllerContext,
  kind: KindDefinition<KubernetesObject>,
  namespace: string,
): Promise<readonly KubernetesObject[]> {
  const items = await listOf(context, kind, namespace);
  await inBatches(
    items.filter((item) => !isTerminating(item)),
    async (item) => {
      await ignoreRace(() =>
        context.client.delete(kind, item.metadata.name ?? "", namespace, { propagationPolicy: "Background" }),
      );
    },
  );
  // Objects without finalizers and without a grace period are already gone.
  const mayRemain = items.some(
    (item) => isTerminating(item) || kind.kind === "Pod" || (item.metadata.finalizers?.length ?? 0) > 0,
  );
  return mayRemain ? await listOf(context, kind, namespace) : [];
}

function note(content: NamespaceContent, kind: KindDefinition, remaining: readonly KubernetesObject[]): void {
  if (remaining.length > 0) content.left.set(`${kind.plural}.${kind.group}`, remaining.length);
  for (const finalizer of remaining.flatMap(({ metadata }) => metadata.finalizers ?? []))
    content.finalizers.set(finalizer, (content.finalizers.get(finalizer) ?? 0) + 1);
}

/** Whether the kind contains the same Events as another group. */
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
    // The kind's CRD has just been removed.
    if (isKubeCode(error, "not-found") || isKubeCode(error, "method-not-allowed")) return [];
    throw error;
  }
}

async function reportProgress(
  context: ControllerContext,
  namespace: Namespace,
  content: NamespaceContent,
): Promise<void> {
  const { name = "" } = namespace.metadata;
  const conditions = conditionsOf(content, namespace.status?.conditions ?? [], context.now());
  // Write no conditions into an empty namespace, because it is removed at once.
  if (conditions === undefined) return;
  await ignoreRace(async () => {
    await context.client.patchMerge(
      namespaceKind,
      name,
      undefined,
      { status: { phase: "Terminating", conditions } },
      { subresource: "status" },
    );
  });
}
