import type { Clock } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { namespaceKind } from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";
import {
  deactivateDefault,
  installedKindOf,
  installedKinds,
  renderNamespaces,
  type DefaultRevision,
  type InstallSettings,
  type RenderedComponent,
} from "../install/index.ts";
import { observeClusterState, type ClusterState } from "./cluster-state.ts";
import { withInstallLock } from "./install-lock.ts";
import { checkRights, preflight } from "./preflight.ts";
import { waitReady } from "./readiness.ts";

export interface InstallOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
  /** Written where no revision is the default yet. */
  readonly defaultRevision?: DefaultRevision;
  /** Moves gateways of other revisions to this one, in place, as upstream did. */
  readonly upgradeGateways: boolean;
  /** Who installs, for others who want to at the same time. */
  readonly identity: string;
  /** Called when a component is there and ready. */
  readonly onDone: (component: RenderedComponent) => void;
  /** Called for what is left as it is, and for what is waited for. */
  readonly onNote: (note: string) => void;
  /** Called with what is missing when something takes longer than a second to become ready. */
  readonly onWait?: (text: string) => void;
  /** How long one component may take to become ready, and another installer to end. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}

export const fieldManager = "istio-operator";
/** Writes under way at once. */
const parallelWrites = 12;

/**
 * Checks everything first, then applies the components in their order by server-side apply, so that an installation that was
 * broken off goes on where it was. All is written before anything is waited for, but for webhooks: those come when what they
 * lead to answers.
 */
export async function applyComponents(options: InstallOptions): Promise<void> {
  const { client, clock, settings, signal } = options;
  await checkRights(client, objectsOf(options.components));
  const before = await observeClusterState(client);
  await preflight(client, settings, objectsOf(withoutForeign({ ...options, onNote: () => undefined }, before)), before);
  await ensureNamespaces(client, renderNamespaces(settings, options.components));
  const lock = {
    client,
    clock,
    namespace: settings.namespace,
    identity: options.identity,
    timeoutMs: options.readyTimeoutMs,
    dead: new Set<string>(),
  };
  // Two installations of one revision go one after the other. Those of others only take turns in writing: what one waits for may be
  // what the other brings, as ztunnel's readiness is by the node agent.
  const onWait = (holder: string): void =>
    options.onNote(`${holder} is installing at the moment; waiting for it to end`);
  const inTurn = async (write: () => Promise<void>): Promise<void> =>
    await withInstallLock({ ...lock, name: "serin-install", onWait: () => undefined }, signal, write);
  const revision = settings.revision === "" ? "default" : settings.revision;
  await withInstallLock({ ...lock, name: `serin-install-${revision}`, onWait }, signal, async () => {
    let components: readonly RenderedComponent[] = [];
    await inTurn(async () => {
      // Another installer may have changed what there is.
      components = withoutForeign(options, await observeClusterState(client));
      for (const component of components)
        await applyObjects(
          client,
          component.objects.filter((object) => !isWebhook(object)),
        );
    });
    for (const component of components) {
      await waitAll(
        component.objects.filter((object) => !isWebhook(object)),
        options,
      );
      const webhooks = component.objects.filter(isWebhook);
      if (webhooks.length > 0 || component.name === "pilot") {
        await inTurn(async () => {
          await applyObjects(client, webhooks);
          if (component.name === "pilot") await ensureDefault(options);
        });
      }
      await waitAll(webhooks, options);
      options.onDone(component);
    }
  });
}

function objectsOf(components: readonly RenderedComponent[]): UntypedObject[] {
  return components.flatMap((component) => component.objects);
}

/**
 * Webhooks that come after what they lead to. The rollout engine's come with the rest: it is ready once the API server
 * trusts them, and the API server ignores them while the engine does not answer.
 */
function isWebhook({ kind, metadata }: UntypedObject): boolean {
  const isConfiguration = kind === "MutatingWebhookConfiguration" || kind === "ValidatingWebhookConfiguration";
  return isConfiguration && metadata.labels?.["app"] !== "serin-rollout";
}

async function waitAll(objects: readonly UntypedObject[], options: InstallOptions): Promise<void> {
  for (const object of objects) await waitReady(object, options);
}

/** The components without what another revision has and keeps: its gateways and its tags. Says what was left. */
function withoutForeign(
  { components, settings, upgradeGateways, onNote }: InstallOptions,
  state: ClusterState,
): RenderedComponent[] {
  const own = settings.revisionLabel ?? (settings.revision === "" ? "default" : settings.revision);
  const lives = (revision: string): boolean =>
    revision !== own && state.revisions.some((one) => one.revision === revision);
  const isDefaultElsewhere = state.tags.some(({ tag, revision }) => tag === "default" && lives(revision));
  const kept: RenderedComponent[] = [];
  for (const component of components) {
    const workload = component.objects.find(({ kind }) => kind === "Deployment")?.metadata;
    const gateway = /^(in|e)gressGateways/.test(component.name)
      ? state.gateways.find(({ name, namespace }) => name === workload?.name && namespace === workload.namespace)
      : undefined;
    if (gateway !== undefined && lives(gateway.revision) && !upgradeGateways) {
      onNote(
        `gateway ${gateway.namespace}/${gateway.name} stays with revision "${gateway.revision}"; --upgrade-gateways moves it to "${own}"`,
      );
      continue;
    }
    const objects = component.objects.filter(({ kind, metadata }) => {
      const tag = state.tags.find((one) => one.tag === metadata.labels?.["istio.io/tag"]);
      if (tag === undefined || !lives(tag.revision)) return true;
      // Its Service and its webhooks stay together.
      if (kind !== "Service")
        onNote(
          `tag "${tag.tag}" stays with revision "${tag.revision}"; to move it: serin tag set ${tag.tag} --revision ${own} --overwrite`,
        );
      return false;
    });
    kept.push({ ...component, objects: isDefaultElsewhere ? objects.map(withoutDefault) : objects });
  }
  return kept;
}

/** The injector of a control plane without a name, which injects by default only where the tag `default` leads nowhere else. */
function withoutDefault(object: UntypedObject): UntypedObject {
  if (object.kind !== "MutatingWebhookConfiguration" || object.metadata.labels?.["istio.io/tag"] !== undefined)
    return object;
  return { ...object, webhooks: deactivateDefault(object["webhooks"] as Readonly<Record<string, unknown>>[]) };
}

/** Makes the first revision of a cluster the default; a later one leaves injector and validator where they are, and says so. */
async function ensureDefault({ client, defaultRevision, onNote }: InstallOptions): Promise<void> {
  if (defaultRevision === undefined) return;
  const state = await observeClusterState(client);
  const { revision, tag, validator, service } = defaultRevision;
  const owner = state.defaultRevision;
  const isOurs = owner === undefined || owner === revision || !state.revisions.some((one) => one.revision === owner);
  if (!isOurs) {
    onNote(`revision "${owner}" stays the default: its injector and its validator are as they were`);
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

/** Writes in the order of kinds; within a kind side by side. */
export async function applyObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<void> {
  for (const kind of installedKinds) {
    const ofKind = objects.filter((object) => installedKindOf(object) === kind);
    for (let at = 0; at < ofKind.length; at += parallelWrites) {
      const batch = ofKind.slice(at, at + parallelWrites);
      await Promise.all(batch.map((object) => client.apply(kind, object, { fieldManager, force: true })));
    }
  }
}
