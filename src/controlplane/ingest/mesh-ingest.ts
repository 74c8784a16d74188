import { formatIssues, type FieldIssue, type KubernetesObject, type LabelSelector } from "../../api/index.ts";
import { describeError, messageOf, userError, type Clock, type Logger } from "../../base/index.ts";
import type { Informer, KubeClient } from "../../kube/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import type { IsIgnored } from "../../api/pilot-settings/index.ts";
import { DiscoveryNamespaces } from "./discovery-namespaces.ts";
import { createFeeds, withInformers, type Feed, type InformedFeed } from "./feeds.ts";
import { warnOfFields, type MultiClusterKinds } from "./multi-cluster-feeds.ts";
import { RefusedObjects } from "./refused-objects.ts";

export interface MeshIngestOptions {
  readonly client: KubeClient;
  readonly inputs: MeshInputs;
  readonly revision: string;
  readonly metrics?: MetricsRegistry;
  /** The kinds of the Multi-Cluster Services API to read. If absent, none are read. */
  readonly multiClusterKinds?: MultiClusterKinds;
  /** Whether a kind is not read. If absent, every kind is read. */
  readonly isIgnored?: IsIgnored | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ProcessedVersion {
  readonly processed: boolean;
  readonly generation: number;
}

interface HeldVersion {
  readonly resourceVersion: string;
  /** The generation of the model that contains this version. Undefined until the model has settled with it. */
  generation: number | undefined;
}

const configurationGroups = /(^|\.)(istio\.io|gateway\.networking\.k8s\.io)$/;

/** The maximum number of deleted objects that are remembered, so that a deletion can be acknowledged, too. */
const maxRemembered = 200_000;

/**
 * Feeds the model from informers. It remembers which version of each object the model holds, and since which
 * generation.
 */
export class MeshIngest {
  readonly synced: Promise<void>;
  readonly refused: RefusedObjects;
  readonly #feeds: readonly InformedFeed<Feed>[];
  readonly #versions = new Map<string, HeldVersion>();
  /** Versions that were read after the model began to settle. */
  readonly #unsettled = new Set<HeldVersion>();
  /** Versions that the settling includes. */
  readonly #settling = new Set<HeldVersion>();
  readonly #log: Logger;
  readonly #excluded: MeshInputs["excludedNamespaces"];
  #faults: string | undefined;
  /** Whether that object is used in spite of its faults. */
  #isCorrected = false;
  readonly #namespaces = new DiscoveryNamespaces();

  constructor(options: MeshIngestOptions) {
    const { client, inputs, revision, clock, log } = options;
    this.#log = log;
    this.#excluded = inputs.excludedNamespaces;
    this.refused = new RefusedObjects(options.metrics);
    const refused = (
      { kind, metadata }: KubernetesObject,
      issues: readonly FieldIssue[],
      isCorrected = false,
    ): void => {
      this.#faults = formatIssues(issues);
      this.#isCorrected = isCorrected;
      log.warn(isCorrected ? "an object has faulty fields" : "an object is not valid and is not used", {
        kind: kind ?? "",
        namespace: metadata.namespace ?? "",
        name: metadata.name ?? "",
        faults: this.#faults,
      });
    };
    const kinds = options.multiClusterKinds ?? {};
    const feeds = createFeeds(inputs, revision, refused, { kinds, warned: warnOfFields(log) });
    this.#feeds = withInformers(withoutIgnored(feeds, options), client, { log, clock });
    this.synced = Promise.all(this.#feeds.map(({ informer }) => informer.synced)).then(() => undefined);
  }

  async run(signal: AbortSignal): Promise<void> {
    const subscriptions = this.#feeds.map(({ feed, informer }) =>
      informer.subscribe((change) => {
        this.#take(feed, change.key, change.object, change.type === "set");
        this.#hold(
          versionKey(feed.kind.group, feed.kind.kind, change.key),
          change.object.metadata.resourceVersion ?? "",
        );
      }),
    );
    await Promise.all(this.#feeds.map(({ informer }) => informer.run(signal)));
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
  }

  /** Sets which namespaces are read. Without selectors, all are. */
  setSelectors(selectors: readonly LabelSelector[]): void {
    const changed = this.#namespaces.setSelectors(selectors);
    for (const name of changed) {
      if (this.#namespaces.includes(name)) this.#excluded.delete(name);
      else this.#excluded.set(name, true);
    }
    this.#refill(changed);
  }

  includesNamespace(name: string): boolean {
    return this.#namespaces.includes(name);
  }

  /** Notes that the model begins to settle, which includes all objects that were read so far. */
  settling(): void {
    for (const held of this.#unsettled) this.#settling.add(held);
    this.#unsettled.clear();
  }

  /** Notes that the model has settled. It contains the objects that were read before it began to settle. */
  settled(generation: number): void {
    for (const held of this.#settling) held.generation = generation;
    this.#settling.clear();
  }

  get(kind: string, key: string): KubernetesObject | undefined {
    return this.informer(kind)?.get(key);
  }

  /** All objects of a kind, for any revision. Undefined for a kind that the model does not hold. */
  informer(kind: string): Informer<KubernetesObject> | undefined {
    return this.#feeds.find(({ feed }) => feed.kind.kind === kind)?.informer;
  }

  configuration(): readonly { readonly kind: Feed["kind"]; readonly informer: Informer<KubernetesObject> }[] {
    return this.#feeds.flatMap(({ feed: { kind }, informer }) =>
      configurationGroups.test(kind.group) ? [{ kind, informer }] : [],
    );
  }

  /** Like {@link informer}, but also distinguishes kinds of the same name by their group. */
  informerOf({ group, kind }: Pick<Feed["kind"], "group" | "kind">): Informer<KubernetesObject> | undefined {
    return this.#feeds.find(({ feed }) => feed.kind.kind === kind && feed.kind.group === group)?.informer;
  }

  /** Throws a user error for a kind that the model does not hold. */
  processedVersion(group: string, kind: string, key: string, resourceVersion: string): ProcessedVersion {
    if (!this.#feeds.some(({ feed }) => feed.kind.group === group && feed.kind.kind === kind)) {
      const known = this.#feeds.map(({ feed }) => feed.kind.kind).join(", ");
      throw userError("bad-request", `the control plane does not read ${kind} of "${group}"`, {
        hint: `use one of ${known}`,
      });
    }
    const held = this.#versions.get(versionKey(group, kind, key));
    if (held?.generation === undefined || isOlder(held.resourceVersion, resourceVersion))
      return { processed: false, generation: 0 };
    return { processed: true, generation: held.generation };
  }

  #take(feed: Feed, key: string, object: KubernetesObject, isThere: boolean): void {
    this.#faults = undefined;
    this.#isCorrected = false;
    try {
      feed.take(key, isThere && this.#namespaces.includes(object.metadata.namespace) ? object : undefined);
    } catch (error) {
      this.#faults = `it cannot be read: ${messageOf(error)}`;
      this.#log.error("an object could not be read and has no effect", {
        kind: feed.kind.kind,
        object: key,
        error: describeError(error),
      });
    }
    this.refused.set(feed.kind, key, this.#faults, this.#isCorrected);
    if (feed.kind.kind === "Namespace") this.#takeNamespace(key, isThere ? (object.metadata.labels ?? {}) : undefined);
  }

  #takeNamespace(name: string, labels: Readonly<Record<string, string>> | undefined): void {
    const changed = this.#namespaces.setNamespace(name, labels);
    if (labels === undefined || this.#namespaces.includes(name)) this.#excluded.delete(name);
    else this.#excluded.set(name, true);
    if (changed) this.#refill(new Set([name]));
  }

  /** Reads the objects of namespaces again that have become included or excluded. */
  #refill(namespaces: ReadonlySet<string>): void {
    if (namespaces.size === 0) return;
    for (const { feed, informer } of this.#feeds) {
      for (const object of informer.list()) {
        const { namespace, name = "" } = object.metadata;
        if (namespace !== undefined && namespaces.has(namespace))
          this.#take(feed, `${namespace}/${name}`, object, true);
      }
    }
  }

  #hold(key: string, resourceVersion: string): void {
    const held: HeldVersion = { resourceVersion, generation: undefined };
    this.#versions.delete(key);
    if (this.#versions.size >= maxRemembered) this.#versions.delete(this.#versions.keys().next().value ?? "");
    this.#versions.set(key, held);
    this.#unsettled.add(held);
  }
}

/** The feeds of the kinds that the control plane reads. Logs the kinds that it ignores. */
function withoutIgnored(feeds: readonly Feed[], { isIgnored, log }: MeshIngestOptions): readonly Feed[] {
  if (isIgnored === undefined) return feeds;
  const left = feeds.filter(({ kind }) => isIgnored(kind));
  log.info("kinds are not read, because PILOT_IGNORE_RESOURCES names them", {
    kinds: left.map(({ kind: { group, plural } }) => `${plural}.${group}`).join(", "),
  });
  return feeds.filter((feed) => !left.includes(feed));
}

function versionKey(group: string, kind: string, key: string): string {
  return `${group}/${kind}/${key}`;
}

/**
 * Whether the held version is older than the wanted one. Resource versions of one server are rising numbers. Versions
 * of any other format count as older unless they are equal.
 */
function isOlder(held: string, wanted: string): boolean {
  if (wanted === "" || held === wanted) return false;
  if (!/^\d+$/.test(held) || !/^\d+$/.test(wanted)) return true;
  return BigInt(held) < BigInt(wanted);
}
