import { userError, type Clock } from "../base/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../api/index.ts";
import { controllerOf, isKubeCode, type KubeClient } from "../kube/index.ts";
import { installedKinds } from "../install/index.ts";
import { releasePods } from "./release-pods.ts";

export interface UninstallOptions {
  readonly client: KubeClient;
  /** What to remove: one revision, everything that an installation wrote, or what a selector finds. */
  readonly what: { readonly revision: string } | { readonly labelSelector: string } | "everything";
  readonly onRemoved: (object: KubernetesObject) => void;
  /** Whether an object that was found stays all the same. */
  readonly keeps?: (object: UntypedObject) => boolean;
  /** Only tells what would be removed. */
  readonly dryRun?: boolean;
  readonly clock: Clock;
  /** What did not end in time. */
  readonly onWait?: (text: string) => void;
}

const agentKind = "DaemonSet";

/** All that an installation labels; the base and the node agent belong to every revision and stay until everything goes. */
const everything = "operator.istio.io/component";
const webhookKinds = new Set(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);

/**
 * Removes what installations wrote: webhooks and tags first, so that none ever leads to a control plane that is gone; the
 * CNI agents, which release their pods while all else still serves them; then the other kinds, last ones first. Definitions of kinds stay, as removing them would remove users' objects; so do the root
 * certificate and namespaces.
 */
export async function removeInstalled({
  client,
  what,
  onRemoved,
  keeps = () => false,
  dryRun = false,
  clock,
  onWait = () => undefined,
}: UninstallOptions): Promise<number> {
  const labelSelector = selectorOf(what);
  const kinds = installedKinds
    .toReversed()
    .filter(({ kind }) => kind !== "CustomResourceDefinition" && kind !== "Namespace");
  let removed = 0;
  const removeAll = async (kind: KindDefinition<UntypedObject>): Promise<void> => {
    const items = (await present(client, kind, labelSelector)).filter(
      (object) => !keeps({ ...object, kind: kind.kind }),
    );
    await Promise.all(
      items.map(async ({ metadata }) => {
        if (!dryRun)
          await client.delete(kind, metadata.name ?? "", metadata.namespace, { propagationPolicy: "Background" });
        onRemoved({ kind: kind.kind, metadata });
        removed += 1;
      }),
    );
  };
  for (const kind of kinds.filter(({ kind }) => webhookKinds.has(kind))) await removeAll(kind);
  if (!dryRun) {
    const keepsAgent = (agent: KubernetesObject): boolean => keeps({ ...agent, kind: agentKind });
    removed += await releasePods({ client, clock, labelSelector, keeps: keepsAgent, onRemoved, onWait });
  }
  for (const kind of kinds.filter(({ kind }) => !webhookKinds.has(kind))) await removeAll(kind);
  return removed;
}

function selectorOf(what: UninstallOptions["what"]): string {
  if (what === "everything") return everything;
  if ("labelSelector" in what) return what.labelSelector;
  if (what.revision === "") throw userError("revision-missing", "no revision was named");
  return `istio.io/rev=${what.revision},${everything},${everything} notin (Base,Cni)`;
}

/** What controllers made of them goes with them. A kind that the server does not serve has no objects. */
async function present(
  client: KubeClient,
  kind: KindDefinition<UntypedObject>,
  labelSelector: string,
): Promise<readonly UntypedObject[]> {
  try {
    return (await client.list(kind, { labelSelector })).items.filter(
      (object) =>
        controllerOf(object) === undefined &&
        object.metadata.labels?.["endpointslice.kubernetes.io/managed-by"] === undefined,
    );
  } catch (error) {
    if (isKubeCode(error, "not-found")) return [];
    throw error;
  }
}
