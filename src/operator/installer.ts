import { istioLabels } from "../api/istio/index.ts";
import { counted, type Clock } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { customResourceDefinitionKind, namespaceKind } from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";
import {
  deactivateDefault,
  installedKindOf,
  installedKinds,
  renderNamespaces,
  type InstallRequest,
  type RenderedComponent,
} from "../install/index.ts";
import { observeClusterState, type ClusterState } from "./cluster-state.ts";
import { withInstallLock } from "./install-lock.ts";
import { keptClosed } from "./kept-closed.ts";
import { keptSelector } from "./kept-selector.ts";
import { keepNewerShared } from "./newer-shared.ts";
import { checkInstallation, checkRights } from "./check-installation.ts";
import { isEstablished, isWorkload, waitReady, type WaitOptions } from "./readiness.ts";
import { WorkloadObstacles } from "./workload-obstacle.ts";

export interface InstallOptions extends InstallRequest {
  readonly client: KubeClient;
  readonly clock: Clock;
  /**
   * Runs `write` while no other installation of this process writes or removes objects. Absent if this process makes
   * only one installation.
   */
  readonly alone?: (write: () => Promise<void>) => Promise<void>;
}

export const fieldManager = "istio-operator";
const parallelWrites = 12;

/**
 * Checks everything first, then writes the components in order by server-side apply, so that a repeated installation
 * continues an interrupted one. It writes all objects except webhooks before it waits for the first one. It writes a
 * component's webhooks when the component's other objects are ready. It waits for all components at the same time, so
 * that an unready component does not delay the webhooks of others.
 */
export async function applyComponents(options: InstallOptions): Promise<void> {
  const { client, clock, settings, signal, alone = async (write) => await write() } = options;
  // A person who installs again may have removed the reason why pods do not start, so stuck pods are replaced. A
  // controller, which installs again and again, must not replace them, because that would defeat the kubelet's growing
  // pauses between attempts.
  const stuck = options.alone === undefined ? { replacesPodsBeforeMs: clock.nowMs() } : {};
  const begin = (phase: string | undefined): void => options.onWait?.("", phase);
  begin("checking your rights and the cluster");
  await checkRights(client, objectsOf(options.components));
  const before = await observeClusterState(client);
  const unreported = { ...options, onNote: () => undefined, onKept: () => undefined };
  await checkInstallation(client, settings, objectsOf(withoutForeign(unreported, before)), before);
  await ensureNamespaces(client, renderNamespaces(settings, options.components));
  const lock = {
    client,
    clock,
    namespace: settings.namespace,
    identity: options.identity,
    timeoutMs: options.readyTimeoutMs,
    dead: new Set<string>(),
  };
  // Two installations of the same revision run one after the other. Installations of different revisions only take
  // turns in writing, because one may wait for an object of the other: ztunnel's readiness needs the node agent.
  const onWait = (holder: string): void =>
    options.onNote(`${holder} is installing at the moment; waiting for it to end`);
  const writeLock = { ...lock, name: "serin-install", onWait: () => undefined };
  const inTurn = async (write: () => Promise<void>): Promise<void> =>
    await alone(async () => await withInstallLock(writeLock, signal, write));
  const revision = settings.revision === "" ? "default" : settings.revision;
  // An installation of only gateways or agents does not take the lock of its revision, because it may wait minutes for
  // pods.
  const inRevision = async (work: () => Promise<void>): Promise<void> =>
    settings.pilot.enabled === true
      ? await withInstallLock({ ...lock, name: `serin-install-${revision}`, onWait }, signal, work)
      : await work();
  await inRevision(async () => {
    let components: readonly RenderedComponent[] = [];
    const served = new Set<string | undefined>();
    await inTurn(async () => {
      // Another installer may have changed the cluster while this one waited for the lock.
      const state = await observeClusterState(client);
      const replacesNewer = options.replaceNewer === true;
      const { components: wanted, notes } = await keepNewerShared(client, options.components, replacesNewer);
      for (const note of notes) options.onNote(note);
      components = withoutForeign({ ...options, components: wanted }, state);
      begin(`writing ${counted(objectsOf(components).length, "object")} of ${counted(components.length, "component")}`);
      for (const component of components) {
        const others = component.objects.filter((object) => !isWebhook(object));
        for (const answer of await applyObjects(client, others))
          if (isDefinition(answer) && isEstablished(answer)) served.add(answer.metadata.name);
      }
    });
    const others = objectsOf(components)
      .filter(isWorkload)
      .map((workload) => new WorkloadObstacles(workload, client, clock, stuck.replacesPodsBeforeMs));
    const complete = async (component: RenderedComponent): Promise<void> => {
      await waitAll(
        // A CRD is often established already in the answer to its write, and then needs no wait.
        component.objects.filter(
          (object) => !isWebhook(object) && !(isDefinition(object) && served.has(object.metadata.name)),
        ),
        { ...options, ...stuck, others },
      );
      const webhooks = component.objects.filter(isWebhook);
      if (webhooks.length > 0 || component.name === "pilot") {
        await inTurn(async () => {
          await applyObjects(client, webhooks);
          if (component.name === "pilot") await ensureDefault(options);
        });
      }
      await waitAll(webhooks, options);
    };
    begin("waiting until the components are ready");
    await reportInOrder(components, complete, options.onDone);
  });
  begin(undefined);
}

/** Completes all components at the same time. When all have ended, throws the error of the first one that failed. */
async function reportInOrder(
  components: readonly RenderedComponent[],
  complete: (component: RenderedComponent) => Promise<void>,
  onDone: (component: RenderedComponent) => void,
): Promise<void> {
  const ends = components.map(async (component) => {
    try {
      await complete(component);
      return { component };
    } catch (error) {
      return { component, failure: { error } };
    }
  });
  let first: { readonly error: unknown } | undefined;
  for (const end of ends) {
    const { component, failure } = await end;
    if (failure === undefined) onDone(component);
    first ??= failure;
  }
  if (first !== undefined) throw first.error;
}

function objectsOf(components: readonly RenderedComponent[]): UntypedObject[] {
  return components.flatMap((component) => component.objects);
}

function isDefinition({ kind }: UntypedObject): boolean {
  return kind === customResourceDefinitionKind.kind;
}

/**
 * Whether the object must be written only when its server answers. The rollout engine's webhooks are written at once:
 * the engine becomes ready only when the API server trusts them, and the API server ignores them until the engine
 * answers.
 */
function isWebhook({ kind, metadata }: UntypedObject): boolean {
  const isConfiguration = kind === "MutatingWebhookConfiguration" || kind === "ValidatingWebhookConfiguration";
  return isConfiguration && metadata.labels?.["app"] !== "serin-rollout";
}

/**
 * Waits for workloads first. The other objects depend on the workloads' pods, and do not show why these do not start.
 */
async function waitAll(objects: readonly UntypedObject[], options: WaitOptions): Promise<void> {
  const [workloads, others] = [objects.filter(isWorkload), objects.filter((object) => !isWorkload(object))];
  for (const object of [...workloads, ...others]) await waitReady(object, options);
}

/** The components without the gateways and tags that another revision keeps. Reports the objects that were left out. */
function withoutForeign(
  { components, settings, upgradeGateways, onNote, onKept }: InstallOptions,
  state: ClusterState,
): RenderedComponent[] {
  const own = settings.revisionLabel ?? (settings.revision === "" ? "default" : settings.revision);
  const lives = (revision: string): boolean =>
    revision !== own && state.revisions.some((installed) => installed.revision === revision);
  const isDefaultElsewhere = state.tags.some(({ tag, revision }) => tag === "default" && lives(revision));
  const kept: RenderedComponent[] = [];
  for (const component of components) {
    const workload = component.objects.find(({ kind }) => kind === "Deployment")?.metadata;
    const gateway = /^(in|e)gressGateways/.test(component.name)
      ? state.gateways.find(({ name, namespace }) => name === workload?.name && namespace === workload.namespace)
      : undefined;
    if (gateway !== undefined && lives(gateway.revision) && !upgradeGateways) {
      onNote(
        `gateway ${gateway.namespace}/${gateway.name} stays on revision "${gateway.revision}"; --upgrade-gateways moves it to "${own}"`,
      );
      onKept?.(component);
      continue;
    }
    const objects = component.objects.filter(({ kind, metadata }) => {
      const tag = state.tags.find((installed) => installed.tag === metadata.labels?.[istioLabels.tag]);
      if (tag === undefined || !lives(tag.revision)) return true;
      // Report each tag only once: its Service and its webhooks are both left out.
      if (kind !== "Service")
        onNote(
          `tag "${tag.tag}" stays on revision "${tag.revision}"; to move it: serin tag set ${tag.tag} --revision ${own} --overwrite`,
        );
      return false;
    });
    kept.push({ ...component, objects: isDefaultElsewhere ? objects.map(withoutDefault) : objects });
  }
  return kept;
}

/**
 * Disables default injection in the injector of a control plane without a revision name. Called if the tag `default`
 * points to another control plane.
 */
function withoutDefault(object: UntypedObject): UntypedObject {
  const { [istioLabels.tag]: tag, [istioLabels.revision]: revision } = object.metadata.labels ?? {};
  if (object.kind !== "MutatingWebhookConfiguration" || tag !== undefined || revision !== "default") return object;
  return { ...object, webhooks: deactivateDefault(object["webhooks"] as Readonly<Record<string, unknown>>[]) };
}

/**
 * Makes the revision the default if no other installed revision is the default. Otherwise leaves injector and validator
 * unchanged, and reports it.
 */
async function ensureDefault({ client, defaultRevision, onNote }: InstallOptions): Promise<void> {
  if (defaultRevision === undefined) return;
  const state = await observeClusterState(client);
  const { revision, tag, validator, service } = defaultRevision;
  const owner = state.defaultRevision;
  const isOurs =
    owner === undefined || owner === revision || !state.revisions.some((installed) => installed.revision === owner);
  if (!isOurs) {
    onNote(`revision "${owner}" stays the default: its injector and its validator are unchanged`);
    return;
  }
  await applyObjects(
    client,
    [service, tag, validator].filter((object) => object !== undefined),
  );
}

async function ensureNamespaces(client: KubeClient, namespaces: readonly UntypedObject[]): Promise<void> {
  for (const namespace of namespaces) {
    if ((await client.get(namespaceKind, namespace.metadata.name ?? "")) !== undefined) continue;
    await client.apply(namespaceKind, namespace, { fieldManager, force: true });
  }
}

/** Writes objects in the order of their kinds, and objects of the same kind in parallel. Returns the stored objects. */
export async function applyObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<UntypedObject[]> {
  const answers: UntypedObject[] = [];
  for (const kind of installedKinds) {
    const ofKind = objects.filter((object) => installedKindOf(object) === kind);
    for (let at = 0; at < ofKind.length; at += parallelWrites) {
      const batch = ofKind.slice(at, at + parallelWrites);
      const applied = batch.map(async (object) => {
        const wanted = await keptSelector(client, await keptClosed(client, object));
        return await client.apply(kind, wanted, { fieldManager, force: true });
      });
      answers.push(...(await Promise.all(applied)));
    }
  }
  return answers;
}
