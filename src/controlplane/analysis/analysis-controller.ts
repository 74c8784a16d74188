import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds, istioLabels, type MeshConfig } from "../../api/istio/index.ts";
import { namespaceKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import type { AnalysisOptions } from "../../analyze/index.ts";
import { Backoff, describeError, onAbort, systemRandom } from "../../base/index.ts";
import { Reconciler, structurallyEqual, type Informer } from "../../kube/index.ts";
import { leadAlone, type LeadingControllerOptions } from "../leadership/index.ts";
import type { Findings, ValidationMessage } from "./analysis-messages.ts";
import { analysedPart, AnalysisThread, type AnalysedObject, type AnalysedObjects } from "./analysis-thread.ts";
import { ChangeBurst } from "./change-burst.ts";
import { isIstioGroup, objectId } from "./validation-messages.ts";

export interface AnalysisControllerOptions extends LeadingControllerOptions {
  /** The latest objects. Undefined for a kind that is not read. */
  readonly objectsOf: (kind: KindDefinition) => Informer<KubernetesObject> | undefined;
  readonly includes: (namespace: string) => boolean;
  readonly meshConfig: () => MeshConfig | undefined;
  readonly onMeshChange: (changed: () => void) => Disposable;
  readonly maxDelayMs: number;
  /** An analysis begins when nothing has changed for this long. {@link defaultQuietMs} if absent. */
  readonly quietMs?: number;
}

type WithMessages = KubernetesObject & { status?: { validationMessages?: readonly ValidationMessage[] } };

const defaultQuietMs = 1000;
const fieldManager = "istio-analysis";
/** Upstream's lease. All revisions share it, because the status has room for the messages of only one writer. */
const leaseName = "istio-analyze-leader";
const retryInitialMs = 5000;
const retryMaxMs = 600_000;
const analysedKinds: readonly KindDefinition[] = [
  namespaceKind,
  serviceKind,
  podKind,
  ...istioKinds,
  ...gatewayApiKinds,
];
/**
 * Kinds whose objects the control plane does not read, or reads only if configuration names them. The analysis must not
 * conclude that such an object is missing. Webhooks are here because no finding about Istio's objects needs them.
 */
const neverRead = [
  "/Secret",
  "/ConfigMap",
  "apps/Deployment",
  "apiextensions.k8s.io/CustomResourceDefinition",
  "admissionregistration.k8s.io/MutatingWebhookConfiguration",
] as const;

/**
 * Analyses the configuration of this revision after changes, and keeps `status.validationMessages` of Istio's objects
 * up to date. Of the replicas of all revisions, only one runs it.
 */
export async function runAnalysisController(options: AnalysisControllerOptions, signal: AbortSignal): Promise<void> {
  await leadAlone(
    options,
    leaseName,
    signal,
    async (leading, client) => await new AnalysisController({ ...options, client }).run(leading),
  );
}

class AnalysisController {
  readonly #options: AnalysisControllerOptions;
  readonly #sources: readonly { readonly kind: KindDefinition; readonly informer: Informer<KubernetesObject> }[];
  readonly #burst: ChangeBurst;
  readonly #reconciler: Reconciler;
  #analysed: AnalysedObjects = new Map();
  #findings: Findings = new Map();

  constructor(options: AnalysisControllerOptions) {
    this.#options = options;
    const { objectsOf, queues, log, clock } = options;
    this.#sources = analysedKinds.flatMap((kind) => {
      const informer = objectsOf(kind);
      return informer === undefined ? [] : [{ kind, informer }];
    });
    this.#burst = new ChangeBurst(clock);
    this.#reconciler = new Reconciler({
      name: "analysis-status",
      queues,
      log,
      clock,
      maxAttempts: Infinity,
      reconcile: async (id) => await this.#write(id),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    using subscriptions = new DisposableStack();
    for (const { kind, informer } of this.#sources) {
      subscriptions.use(
        informer.subscribe((change) => {
          if (change.type === "delete" || isNew(kind, change.object, change.previous)) this.#burst.note();
        }),
      );
    }
    subscriptions.use(this.#options.onMeshChange(() => this.#burst.note()));
    await Promise.all([this.#reconciler.run(signal), this.#analyzeAfterChanges(signal)]);
  }

  async #analyzeAfterChanges(signal: AbortSignal): Promise<void> {
    const { clock, log, maxDelayMs, quietMs = defaultQuietMs } = this.#options;
    const thread = new AnalysisThread(clock);
    // A shutdown must not wait for the end of a long analysis.
    onAbort(signal, () => void thread.end());
    const backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random: systemRandom });
    let tookMs = 0;
    // Analyse once even if nothing changes, because messages of a former leader may have to be removed.
    this.#burst.note();
    while (!signal.aborted) {
      // Pause at least as long as the last analysis took, so that the thread is busy for at most half of the time.
      await this.#burst.end(Math.max(quietMs, tookMs), Math.max(maxDelayMs, tookMs), signal);
      if (signal.aborted) break;
      const startedMs = clock.steadyMs();
      try {
        await this.#analyze(thread);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) break;
        const delayMs = backoff.nextMs();
        log.warn("the configuration could not be analysed; the status of objects stays as it is", {
          error: describeError(error),
          retryMs: Math.round(delayMs),
        });
        await clock.sleep(delayMs, signal).catch(() => undefined);
        this.#burst.note();
      }
      tookMs = clock.steadyMs() - startedMs;
    }
    await thread.end();
  }

  async #analyze(thread: AnalysisThread): Promise<void> {
    const objects = this.#objects();
    this.#findings = await thread.analyze(objects, this.#analysisOptions());
    this.#analysed = objects;
    for (const [id, { kind, object }] of objects)
      if (isIstioGroup(kind.group) && !structurallyEqual(messagesOf(object), this.#findings.get(id) ?? []))
        this.#reconciler.add(id);
  }

  #objects(): AnalysedObjects {
    const { includes, revision } = this.#options;
    const objects = new Map<string, AnalysedObject>();
    for (const { kind, informer } of this.#sources) {
      for (const object of informer.list()) {
        const { namespace, labels, deletionTimestamp } = object.metadata;
        const named = isIstioGroup(kind.group) ? labels?.[istioLabels.revision] : undefined;
        if (named !== undefined && named !== revision) continue;
        if (deletionTimestamp !== undefined || (namespace !== undefined && !includes(namespace))) continue;
        objects.set(objectId(`${kind.group}/${kind.kind}`, object), { kind, object });
      }
    }
    return objects;
  }

  #analysisOptions(): AnalysisOptions {
    const { namespace, meshConfig } = this.#options;
    const unread = analysedKinds.filter((analysed) => !this.#sources.some(({ kind }) => kind === analysed));
    return {
      scope: "cluster",
      unread: new Set([...neverRead, ...unread.map(({ group, kind }) => `${group}/${kind}`)]),
      istioNamespace: namespace,
      defaultNamespace: "default",
      meshConfig: meshConfig(),
    };
  }

  /**
   * Writes the messages, and keeps the other fields of the status. Fails with `conflict` if the object has changed
   * since it was read; the next attempt reads it again.
   */
  async #write(id: string): Promise<void> {
    const analysed = this.#analysed.get(id);
    if (analysed === undefined) return;
    const { kind } = analysed;
    const key = keyOf(analysed.object);
    const object = this.#sources.find((source) => source.kind === kind)?.informer.get(key);
    // The findings are about another version of the object. Another analysis will follow.
    if (object === undefined || object.metadata.generation !== analysed.object.metadata.generation) return;
    const wanted = this.#findings.get(id) ?? [];
    if (structurallyEqual(messagesOf(object), wanted)) return;
    const { name = "", namespace, resourceVersion } = object.metadata;
    const validationMessages = wanted.length === 0 ? null : wanted;
    await this.#options.client.patchMerge(
      kind,
      name,
      namespace,
      { metadata: { resourceVersion }, status: { validationMessages } },
      { subresource: "status", fieldManager },
    );
  }
}

/**
 * Whether a change affects the analysis. Most changes of pods do not, because the analysis reads only the phase in
 * their status.
 */
function isNew(kind: KindDefinition, object: KubernetesObject, previous: KubernetesObject | undefined): boolean {
  return previous === undefined || !structurallyEqual(analysedPart(kind, object), analysedPart(kind, previous));
}

function messagesOf(object: WithMessages): readonly ValidationMessage[] {
  return object.status?.validationMessages ?? [];
}
