import { jsonEqual, messageOf, type Clock, type Logger, type Tree } from "../../base/index.ts";
import {
  defineKind,
  formatIssues,
  keyOf,
  type KubernetesObject,
  type Parsed,
  type UntypedObject,
} from "../../api/index.ts";
import { istioAnnotations, istioLabels, parseIstioOperator } from "../../api/istio/index.ts";
import { isMovedToRevision } from "../../api/serin/field-managers/index.ts";
import { deploymentKind } from "../../api/kubernetes/index.ts";
import {
  operatorName,
  renderDefaultRevision,
  renderInstall,
  resolveSettings,
  type CustomResources,
  type InstallDefaults,
  type InstallSettings,
  type RenderedComponent,
} from "../../install/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { applyComponents } from "../installer.ts";
import { OwnedObjects } from "../owned-objects.ts";
import { removeInstalled } from "../uninstaller.ts";

type Health = "HEALTHY" | "RECONCILING" | "ERROR" | "NONE";

export interface IstioOperatorStatus {
  readonly status: Health;
  /** The generation of the object that this status describes. */
  readonly observedGeneration?: number;
  readonly message?: string;
  readonly componentStatus: Readonly<
    Record<string, { readonly status: Health; readonly error?: string; readonly version?: string }>
  >;
}

export type IstioOperatorObject = KubernetesObject & { spec?: Tree; status?: IstioOperatorStatus };

export const istioOperatorKind = defineKind<IstioOperatorObject>({
  group: "install.istio.io",
  versions: ["v1alpha1"],
  kind: "IstioOperator",
  plural: "istiooperators",
  namespaced: true,
});

export interface IstioOperatorControllerOptions {
  readonly client: KubeClient;
  /** The namespaces whose IstioOperator objects are managed. An empty list means all namespaces. */
  readonly watchedNamespaces: readonly string[];
  /** The only revision to manage. An empty string means all revisions that have no operator of their own. */
  readonly revision: string;
  readonly defaults: InstallDefaults;
  readonly customResources: () => Promise<CustomResources>;
  readonly identity: string;
  readonly readyTimeoutMs: number;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const finalizer = "istio-finalizer.install.istio.io";
const upgradeGatewaysAnnotation = "install.serin.dev/upgrade-gateways";
const { owningResource: ownerLabel, owningResourceNamespace: ownerNamespaceLabel } = istioLabels;
const watchedKinds = [
  "ServiceAccount",
  "ConfigMap",
  "Service",
  "ResourceQuota",
  "NetworkPolicy",
  "Deployment",
  "DaemonSet",
  "HorizontalPodAutoscaler",
  "PodDisruptionBudget",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
];
const retryMaxMs = 30_000;
/**
 * The maximum number of concurrent installations. They mostly wait for pods, and clusters have only a few
 * IstioOperators.
 */
const concurrentInstallations = 16;

/**
 * Installs what IstioOperator objects specify, reverts changes by others, and removes what the objects no longer
 * request.
 */
export class IstioOperatorController {
  readonly #options: IstioOperatorControllerOptions;
  readonly #objects: Informer<IstioOperatorObject>;
  readonly #owned: OwnedObjects;
  readonly #reconciler: Reconciler;
  /** The uid, generation and labels of each owned object when it was last seen. */
  readonly #seen = new Map<string, string>();
  /**
   * The installations in progress, by the key of their IstioOperator. A change of the IstioOperator cancels its
   * installation, because the change may remove what the installation waits for.
   */
  readonly #current = new Map<string, AbortController>();
  /** Settles when the last write or removal of installed objects has ended. The next one begins after it. */
  #lastWrite: Promise<void> = Promise.resolve();
  /** The last installed generation of each IstioOperator. */
  readonly #installed = new Map<string, number>();

  constructor(options: IstioOperatorControllerOptions) {
    this.#options = options;
    const { client, queues, clock, log } = options;
    this.#objects = createInformer(client, istioOperatorKind, { clock, log });
    this.#owned = new OwnedObjects({
      client,
      labelSelector: ownerNamespaceLabel,
      kinds: watchedKinds,
      fieldManager: "istio-operator",
      clock,
      log,
      onChange: (object, type) => this.#ownedChanged(object, type),
    });
    // Installations run concurrently, so that an object whose pods do not start does not delay the others, above all
    // their deletion. Installations share objects, such as the node agent, so they take turns in writing.
    this.#reconciler = new Reconciler({
      name: "istio-operator",
      concurrency: concurrentInstallations,
      queues,
      clock,
      log,
      maxAttempts: Infinity,
      retryMaxMs,
      after: [this.#objects.synced],
      reconcile: async (key, signal) => await this.#reconcile(key, signal),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#objects.subscribe(
      ({
        key,
        type,
        object,
        previous,
      }: {
        key: string;
        type: string;
        object: IstioOperatorObject;
        previous?: IstioOperatorObject | undefined;
      }) => {
        const isOwnStatus =
          type === "set" &&
          previous !== undefined &&
          previous.metadata.generation === object.metadata.generation &&
          // A change of annotations does not change the generation, so they are compared here.
          movesGateways(previous) === movesGateways(object) &&
          this.#isWatched(previous) === this.#isWatched(object) &&
          previous.metadata.deletionTimestamp === object.metadata.deletionTimestamp;
        if (isOwnStatus || !this.#isWatched(object)) return;
        this.#reconciler.add(key);
        this.#current.get(key)?.abort();
        // The change may resolve a conflict with another IstioOperator, so reconcile those that have an error.
        for (const other of this.#objects.list())
          if (other.status?.status === "ERROR" && this.#isWatched(other)) this.#reconciler.add(keyOf(other));
      },
    );
    await Promise.all([this.#objects.run(signal), this.#owned.run(signal), this.#reconciler.run(signal)]);
  }

  #isWatched({ metadata }: IstioOperatorObject): boolean {
    if (metadata.annotations?.[istioAnnotations.ignoreReconcile] === "true") return false;
    const { watchedNamespaces } = this.#options;
    return watchedNamespaces.length === 0 || watchedNamespaces.includes(metadata.namespace ?? "");
  }

  /** Reconciles the owner if an object's spec or labels have changed or it was deleted. Ignores a changed status. */
  #ownedChanged({ kind = "", metadata }: KubernetesObject, type: "set" | "delete"): void {
    const owner = `${metadata.labels?.[ownerNamespaceLabel] ?? ""}/${metadata.labels?.[ownerLabel] ?? ""}`;
    const key = `${kind}/${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
    const state = `${metadata.uid ?? ""} ${metadata.generation ?? metadata.resourceVersion ?? ""} ${JSON.stringify(metadata.labels)}`;
    const before = this.#seen.get(key);
    if (type === "delete") this.#seen.delete(key);
    else this.#seen.set(key, state);
    const isChange = type === "delete" || (before !== undefined && before !== state);
    if (isChange && this.#objects.get(owner) !== undefined) this.#reconciler.add(owner);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const raw = this.#objects.get(key);
    if (raw === undefined || !this.#isWatched(raw) || (await this.#isOthers(raw))) return;
    const rendered = await this.#render(raw);
    if (raw.metadata.deletionTimestamp !== undefined)
      return await this.#alone(async () => await this.#finalize(raw, rendered.settings));
    if (rendered.settings === undefined)
      return await this.#setStatus(raw, { status: "ERROR", message: rendered.error, componentStatus: {} });
    const rival = this.#rivalOf(raw, rendered.settings);
    if (rival !== undefined)
      return await this.#setStatus(raw, { status: "ERROR", message: rival, componentStatus: {} });
    await this.#addFinalizer(raw);
    await this.#install(raw, key, rendered, signal);
  }

  async #install(
    raw: IstioOperatorObject,
    key: string,
    { settings, components }: Installation,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, log } = this.#options;
    const progress: Progress = { ready: new Set(), kept: new Set(), notes: [] };
    let written = Promise.resolve();
    const owned = components.map((component) => ({
      ...component,
      objects: component.objects.map((object) => ownedBy(object, raw)),
    }));
    const changed = new AbortController();
    this.#current.set(key, changed);
    // Checking a healthy object again does not reset its status.
    if (raw.status?.status !== "HEALTHY" || this.#installed.get(key) !== raw.metadata.generation)
      await this.#setStatus(raw, statusOf(components, settings.tag, progress));
    const defaultRevision = renderDefaultRevision(settings);
    try {
      await applyComponents({
        client,
        clock: this.#options.clock,
        settings,
        components: owned,
        ...(defaultRevision === undefined ? {} : { defaultRevision }),
        upgradeGateways: movesGateways(raw),
        identity: this.#options.identity,
        alone: async (write) => await this.#alone(write),
        onDone: ({ name }) => {
          progress.ready.add(name);
          if (this.#installed.get(key) === raw.metadata.generation) return;
          const status = statusOf(components, settings.tag, progress);
          written = written
            .then(async () => await this.#setStatus(raw, status))
            .catch((error: unknown) =>
              log.warn("a status could not be written", { istioOperator: key, error: messageOf(error) }),
            );
        },
        onKept: ({ name }) => progress.kept.add(name),
        onNote: (note) => {
          progress.notes.push(note);
          log.info(note, { istioOperator: key });
        },
        readyTimeoutMs: this.#options.readyTimeoutMs,
        signal: AbortSignal.any([signal, changed.signal]),
      });
      await written;
      await this.#alone(async () => await this.#prune(raw, owned, settings));
      await this.#setStatus(raw, statusOf(components, settings.tag, progress));
      this.#installed.set(key, raw.metadata.generation ?? 0);
      log.info("installed", { istioOperator: key, revision: settings.revision === "" ? "default" : settings.revision });
    } catch (error) {
      await written;
      if (changed.signal.aborted) return log.info("the object changed: installing again", { istioOperator: key });
      await this.#setStatus(raw, statusOf(components, settings.tag, progress, messageOf(error)));
      throw error;
    } finally {
      this.#current.delete(key);
    }
  }

  /**
   * Runs `work` when the previous write or removal has ended. Otherwise a removal could delete an object that another
   * IstioOperator has just taken over.
   */
  async #alone(work: () => Promise<void>): Promise<void> {
    const before = this.#lastWrite;
    const own = (async () => {
      await before;
      await work();
    })();
    this.#lastWrite = own.catch(() => undefined);
    await own;
  }

  /**
   * Whether another operator manages this object's revision. Writes no status then, because the other operator does.
   */
  async #isOthers(raw: IstioOperatorObject): Promise<boolean> {
    const { metadata } = raw;
    const { client, log, revision } = this.#options;
    const wanted = revisionIn(raw);
    if (wanted === revision) return false;
    const istioOperator = `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
    if (revision !== "") {
      log.info("skipping an IstioOperator of another revision", {
        istioOperator,
        revision: wanted === "" ? "default" : wanted,
        own: revision,
      });
      return true;
    }
    const operators = (await client.list(deploymentKind, { labelSelector: "operator.istio.io/managed-by=serin" }))
      .items;
    const isTaken = operators.some((deployment) => deployment.metadata.name === operatorName(wanted));
    if (isTaken)
      log.info("leaving an IstioOperator to the operator of its revision", { istioOperator, revision: wanted });
    return isTaken;
  }

  /**
   * Returns an error message if an older IstioOperator installs the same revision. The older one takes precedence.
   * Otherwise both would overwrite each other's objects forever.
   */
  #rivalOf(raw: IstioOperatorObject, settings: InstallSettings): string | undefined {
    if (settings.pilot.enabled !== true) return undefined;
    const born = ({ metadata }: KubernetesObject): string =>
      `${metadata.creationTimestamp ?? ""} ${metadata.uid ?? ""}`;
    for (const other of this.#objects.list()) {
      if (
        other.metadata.uid === raw.metadata.uid ||
        other.metadata.deletionTimestamp !== undefined ||
        !this.#isWatched(other) ||
        born(other) > born(raw)
      )
        continue;
      const theirs = this.#settingsOf(other).value;
      if (theirs?.pilot.enabled !== true || theirs.revision !== settings.revision) continue;
      const revision = settings.revision === "" ? "default" : settings.revision;
      return `IstioOperator ${other.metadata.namespace ?? ""}/${other.metadata.name ?? ""} already installs revision "${revision}": set another spec.revision here, or delete one of the two`;
    }
    return undefined;
  }

  /**
   * Removes installed objects that the IstioOperator no longer requests. Does not remove objects of its former
   * revision.
   */
  async #prune(
    { metadata }: IstioOperatorObject,
    components: readonly RenderedComponent[],
    settings: InstallSettings,
  ): Promise<void> {
    const { client, log, clock } = this.#options;
    const revision = settings.revision === "" ? "default" : settings.revision;
    const wanted = new Set(
      components.flatMap(({ objects }) => objects.map((object) => `${object.kind ?? ""}/${keyOf(object)}`)),
    );
    await removeInstalled({
      client,
      clock,
      selection: ownSelection(metadata, settings),
      keeps: (object) =>
        object.metadata.labels?.[istioLabels.owningResourceNotPruned] === "true" ||
        wanted.has(`${object.kind ?? ""}/${keyOf(object)}`) ||
        (object.metadata.labels?.[istioLabels.revision] ?? revision) !== revision,
      onRemoved: ({ kind = "", metadata: removed }) =>
        log.info("removed an object that is no longer wanted", { kind, name: removed.name ?? "" }),
    });
  }

  #settingsOf(raw: IstioOperatorObject): Parsed<InstallSettings> {
    const parsed = parseIstioOperator(raw);
    if (parsed.value === undefined) return { ...parsed, value: undefined };
    const { spec } = parsed.value;
    const named = {
      ...spec,
      namespace: spec.namespace ?? raw.metadata.namespace ?? "istio-system",
      values: { ...spec.values, ownerName: raw.metadata.name ?? "" },
    };
    return resolveSettings({ specs: [named] }, this.#options.defaults);
  }

  async #render(raw: IstioOperatorObject): Promise<{ settings: undefined; error: string } | Installation> {
    const resolved = this.#settingsOf(raw);
    if (resolved.value === undefined) return { settings: undefined, error: formatIssues(resolved.errors) };
    const { components, errors } = renderInstall(resolved.value, await this.#options.customResources());
    return errors.length > 0
      ? { settings: undefined, error: formatIssues(errors) }
      : { settings: resolved.value, components };
  }

  async #addFinalizer({ metadata }: IstioOperatorObject): Promise<void> {
    if (metadata.finalizers?.includes(finalizer) === true) return;
    const patch = { metadata: { finalizers: [...(metadata.finalizers ?? []), finalizer] } };
    await this.#options.client.patchMerge(istioOperatorKind, metadata.name ?? "", metadata.namespace, patch);
  }

  /**
   * Removes the objects that only this IstioOperator requested. The base and the node agent stay while another revision
   * may need them.
   */
  async #finalize(raw: IstioOperatorObject, settings: InstallSettings | undefined): Promise<void> {
    const { client, log, clock } = this.#options;
    const { metadata } = raw;
    if (metadata.finalizers?.includes(finalizer) !== true) return;
    // If the spec is invalid, assume that the object installed a control plane.
    await removeInstalled({
      client,
      clock,
      selection: ownSelection(metadata, settings ?? { pilot: { enabled: true }, revision: revisionIn(raw) }),
      // Keeps a gateway that another revision uses now.
      keeps: isMovedToRevision,
      onRemoved: ({ kind = "", metadata: removed }) => log.info("removed", { kind, name: removed.name ?? "" }),
    });
    if (settings !== undefined) {
      const revision = settings.revision === "" ? "default" : settings.revision;
      const hasHeir = this.#objects
        .list()
        .some(
          (other) =>
            other.metadata.uid !== metadata.uid &&
            other.metadata.deletionTimestamp === undefined &&
            (other.spec?.["revision"] ?? "default") === revision,
        );
      if (!hasHeir && settings.pilot.enabled === true)
        await removeInstalled({ client, clock, selection: { revision }, onRemoved: () => undefined });
    }
    await client.patchMerge(istioOperatorKind, metadata.name ?? "", metadata.namespace, {
      metadata: { finalizers: metadata.finalizers.filter((held) => held !== finalizer) },
    });
  }

  async #setStatus({ metadata }: IstioOperatorObject, ofParts: IstioOperatorStatus): Promise<void> {
    const before = this.#objects.get(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`)?.status;
    const { generation } = metadata;
    const status = { ...ofParts, ...(generation === undefined ? {} : { observedGeneration: generation }) };
    if (jsonEqual(before, status)) return;
    const gone = Object.keys(before?.componentStatus ?? {}).filter((name) => !(name in status.componentStatus));
    const componentStatus = { ...status.componentStatus, ...Object.fromEntries(gone.map((name) => [name, null])) };
    const patch = { status: { ...status, message: status.message ?? null, componentStatus } };
    await this.#options.client.patchMerge(istioOperatorKind, metadata.name ?? "", metadata.namespace, patch, {
      subresource: "status",
    });
  }
}

interface Installation {
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
}

/** Whether gateways of another revision are to move to the object's revision. */
function movesGateways({ metadata }: IstioOperatorObject): boolean {
  return metadata.annotations?.[upgradeGatewaysAnnotation] === "true";
}

function revisionIn({ spec }: IstioOperatorObject): string {
  return typeof spec?.["revision"] === "string" ? spec["revision"] : "";
}

/**
 * Selects the installed objects that belong to the IstioOperator. The selection names a revision only if the
 * IstioOperator has a control plane. Without a control plane, the IstioOperator may be the one that installs the node
 * agent for all revisions, and then the node agent must be removed too.
 */
function ownSelection(
  { name = "", namespace = "" }: KubernetesObject["metadata"],
  { pilot, revision }: { readonly pilot: { readonly enabled?: boolean }; readonly revision: string },
): { readonly labelSelector: string; readonly revision?: string } {
  const labelSelector = `${ownerLabel}=${name},${ownerNamespaceLabel}=${namespace}`;
  return { labelSelector, ...(pilot.enabled === true ? { revision: revision === "" ? "default" : revision } : {}) };
}

/** Labels the object with its owner. Objects of the base stay unlabelled, because all IstioOperators share them. */
function ownedBy(object: UntypedObject, { metadata }: IstioOperatorObject): UntypedObject {
  if (
    object.metadata.labels?.[istioLabels.component] === "Base" ||
    object.kind === "CustomResourceDefinition" ||
    object.kind === "Namespace"
  )
    return object;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      labels: {
        ...object.metadata.labels,
        [ownerLabel]: metadata.name ?? "",
        [ownerNamespaceLabel]: metadata.namespace ?? "",
      },
    },
  };
}

const componentNames: Readonly<Record<string, string>> = {
  base: "Base",
  pilot: "Pilot",
  cni: "Cni",
  ztunnel: "Ztunnel",
  ingressGateways: "IngressGateways",
  egressGateways: "EgressGateways",
};

/** The progress of an installation. Components have their names from the rendering, such as `ingressGateways[0]`. */
interface Progress {
  readonly ready: Set<string>;
  /** The gateway components that stay with another revision. */
  readonly kept: Set<string>;
  readonly notes: string[];
}

function statusOf(
  components: readonly RenderedComponent[],
  version: string,
  { ready, kept, notes }: Progress,
  error?: string,
): IstioOperatorStatus {
  const componentStatus: Record<string, { status: Health; error?: string; version?: string }> = {};
  for (const { name } of components) {
    const title = componentNames[name.replace(/\[\d+\]$/, "")] ?? name;
    const isHere = ready.has(name) || (kept.has(name) && error === undefined && ready.size > 0);
    // Blame the error on the first component that is not ready. The others still count as in progress.
    const isFailed =
      !isHere &&
      error !== undefined &&
      !Object.values(componentStatus).some((component) => component.status === "ERROR");
    const status: Health = isHere ? "HEALTHY" : isFailed ? "ERROR" : "RECONCILING";
    componentStatus[title] = { status, version, ...(status === "ERROR" && error !== undefined ? { error } : {}) };
  }
  const all = Object.values(componentStatus).map(({ status }) => status);
  const overall: Health =
    error !== undefined ? "ERROR" : all.every((status) => status === "HEALTHY") ? "HEALTHY" : "RECONCILING";
  const message = error ?? (notes.length === 0 ? undefined : notes.join("; "));
  return { status: overall, ...(message === undefined ? {} : { message }), componentStatus };
}
