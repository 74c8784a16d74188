import { transientError, userError, type Clock } from "../base/index.ts";
import { keyOf, type KubernetesObject, type UntypedObject } from "../api/index.ts";
import {
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  type DaemonSet,
  type Deployment,
} from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { installedKindOf, installedKinds, type RenderedComponent } from "../install/index.ts";

export interface InstallOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly components: readonly RenderedComponent[];
  /** Applied only where no control plane is the default yet. */
  readonly defaultTag?: UntypedObject;
  /** Called when a component is there and ready. */
  readonly onDone: (component: RenderedComponent) => void;
  /** How long one component may take to become ready. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}

export const fieldManager = "istio-operator";
/** Writes under way at once. */
const parallelWrites = 12;
const pollMs = 40;

/**
 * Applies the components in their order, by server-side apply, and waits for what runs to be ready. Nothing is waited for
 * before everything is written, so that the parts come up side by side.
 */
export async function applyComponents(options: InstallOptions): Promise<void> {
  const { client, components } = options;
  await ensureNamespace(client, options.namespace);
  for (const component of components) await applyObjects(client, component.objects);
  if (options.defaultTag !== undefined && !(await hasDefault(client))) await applyObjects(client, [options.defaultTag]);
  for (const component of components) {
    for (const object of component.objects) await waitReady(object, options);
    options.onDone(component);
  }
}

/** Whether an unrevisioned control plane, or the tag `default`, is there. */
async function hasDefault(client: KubeClient): Promise<boolean> {
  const { items } = await client.list(mutatingWebhookConfigurationKind, { labelSelector: "app=sidecar-injector" });
  return items.some(({ metadata: { labels = {} } }) => labels["istio.io/tag"] === "default" || (labels["istio.io/tag"] === undefined && labels["istio.io/rev"] === "default"));
}

async function ensureNamespace(client: KubeClient, name: string): Promise<void> {
  if ((await client.get(namespaceKind, name)) !== undefined) return;
  await client.apply(namespaceKind, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, { fieldManager, force: true });
}

/** Writes in the order of kinds; within a kind side by side. Definitions of kinds are established before anything else. */
async function applyObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<void> {
  for (const kind of installedKinds) {
    const ofKind = objects.filter((object) => installedKindOf(object) === kind);
    for (let at = 0; at < ofKind.length; at += parallelWrites) {
      const batch = ofKind.slice(at, at + parallelWrites);
      await Promise.all(batch.map((object) => client.apply(kind, object, { fieldManager, force: true })));
    }
  }
}

async function waitReady(object: UntypedObject, options: InstallOptions): Promise<void> {
  const { client, clock, signal } = options;
  const check = readinessCheck(object, client);
  if (check === undefined) return;
  const deadline = clock.steadyMs() + options.readyTimeoutMs;
  for (;;) {
    const waitingFor = await check();
    if (waitingFor === undefined) return;
    if (clock.steadyMs() > deadline) {
      const name = `${object.kind ?? ""} ${keyOf(object)}`;
      throw transientError("not-ready", `${name} was not ready after ${options.readyTimeoutMs / 1000} s: ${waitingFor}`, {
        hint: `kubectl -n ${object.metadata.namespace ?? "default"} get pods; kubectl -n ${object.metadata.namespace ?? "default"} describe ${(object.kind ?? "").toLowerCase()} ${object.metadata.name ?? ""}`,
      });
    }
    await clock.sleep(pollMs, signal);
  }
}

/** A function that answers what is still missing, for kinds that become ready by and by. */
function readinessCheck({ kind, metadata }: UntypedObject, client: KubeClient): (() => Promise<string | undefined>) | undefined {
  const { name = "", namespace } = metadata;
  if (kind === "Deployment") return async () => deploymentMissing(await client.get(deploymentKind, name, namespace));
  if (kind === "DaemonSet") return async () => daemonSetMissing(await client.get(daemonSetKind, name, namespace));
  if (kind === "CustomResourceDefinition") {
    return async () => {
      const found = await client.get(customResourceDefinitionKind, name);
      return found?.status?.conditions?.some((condition) => condition["type"] === "Established" && condition["status"] === "True") === true
        ? undefined
        : "the definition is not established";
    };
  }
  return undefined;
}

function deploymentMissing(deployment: Deployment | undefined): string | undefined {
  if (deployment === undefined) return "it is not there";
  const { status = {}, spec, metadata } = deployment;
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return "its controller has not seen it yet";
  const wanted = spec?.replicas ?? 1;
  const ready = Math.min(status.updatedReplicas ?? 0, status.availableReplicas ?? 0);
  return ready >= wanted ? undefined : `${ready} of ${wanted} replicas are available`;
}

function daemonSetMissing(daemonSet: DaemonSet | undefined): string | undefined {
  const status = daemonSet?.status;
  if (daemonSet === undefined || status === undefined) return "its controller has not seen it yet";
  if ((status.observedGeneration ?? 0) < (daemonSet.metadata.generation ?? 0)) return "its controller has not seen it yet";
  const ready = Math.min(status.updatedNumberScheduled ?? 0, status.numberAvailable ?? 0);
  const wanted = status.desiredNumberScheduled;
  return ready >= wanted ? undefined : `${ready} of ${wanted} nodes run it`;
}

export interface UninstallOptions {
  readonly client: KubeClient;
  /** What to remove: one revision, or everything that an installation wrote. */
  readonly what: { readonly revision: string } | "everything";
  readonly onRemoved: (object: KubernetesObject) => void;
}

/**
 * Removes what installations wrote, last kinds first. Definitions of kinds stay, as removing them would remove users'
 * objects; so do the root certificate and namespaces.
 */
export async function removeInstalled({ client, what, onRemoved }: UninstallOptions): Promise<number> {
  if (what !== "everything" && what.revision === "") throw userError("revision-missing", "no revision was named");
  const labelSelector = what === "everything" ? "install.operator.istio.io/owning-resource" : `istio.io/rev=${what.revision},install.operator.istio.io/owning-resource`;
  let removed = 0;
  for (const kind of installedKinds.toReversed()) {
    if (kind.kind === "CustomResourceDefinition" || kind.kind === "Namespace") continue;
    const { items } = await client.list(kind, { labelSelector });
    await Promise.all(
      items.map(async ({ metadata }) => {
        await client.delete(kind, metadata.name ?? "", metadata.namespace, { propagationPolicy: "Background" });
        onRemoved({ kind: kind.kind, metadata });
        removed += 1;
      }),
    );
  }
  return removed;
}
