// The server's own maintenance: it fills aggregated roles, cleans up after deleted CRDs, and expires events and old
// changes.
import { jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { aggregatedRules, clusterRoles, rulesOf } from "../auth/index.ts";
import type { StoredRecord } from "../store/index.ts";
import type { ServerParts } from "./context.ts";
import { cleanupFinalizer, customResourceDefinitionKey, typesOf } from "./custom-resources.ts";
import { deleteOne } from "./remove.ts";
import { ApiError } from "./status.ts";
import { serverIntent } from "./write.ts";
import type { Writer } from "./writer.ts";

/** How long the server stores Events by default, like kube-apiserver without `--event-ttl`. */
const defaultEventTtlMs = 3_600_000;
const sweepMs = 60_000;
/**
 * The number of sweeps for which the server keeps changes, so that watches can resume and paged lists can continue. The
 * sweeps take five minutes, as with kube-apiserver.
 */
const knownSweeps = 5;

/** Maintains the stored objects until disposed. Logs failures, and tries again at the next change. */
export class Upkeep {
  readonly #parts: ServerParts;
  readonly #writer: Writer;
  readonly #subscriptions: Disposable[] = [];
  #aggregating = false;
  readonly #cleaning = new Set<string>();
  /** The store's revision at each of the last sweeps. */
  readonly #revisions: number[] = [];

  readonly #eventTtlMs: number;

  constructor(parts: ServerParts, writer: Writer, eventTtlMs = defaultEventTtlMs) {
    this.#eventTtlMs = eventTtlMs;
    this.#parts = parts;
    this.#writer = writer;
  }

  async start(): Promise<void> {
    const { store } = this.#parts;
    await this.#aggregate();
    this.#subscriptions.push(store.collection(clusterRoles).subscribe(() => void this.#aggregateSoon()));
    const definitions = store.collection(customResourceDefinitionKey);
    this.#subscriptions.push(
      definitions.subscribe((events) => {
        for (const event of events) if (event.type !== "DELETED") this.#cleanSoon(event.record.name);
      }),
    );
    for (const record of definitions.list()) this.#cleanSoon(record.name);
    const secrets = store.collection("/secrets");
    this.#subscriptions.push(
      secrets.subscribe((events) => {
        for (const event of events)
          if (event.type !== "DELETED" && lacksToken(event.record))
            void this.#fillToken(event.record.namespace, event.record.name);
      }),
    );
    for (const record of secrets.list()) if (lacksToken(record)) void this.#fillToken(record.namespace, record.name);
    const sweeps = [
      setInterval(() => this.#forgetChanges(), sweepMs).unref(),
      setInterval(() => void this.#expireEvents(), Math.min(sweepMs, this.#eventTtlMs)).unref(),
    ];
    this.#subscriptions.push({ [Symbol.dispose]: () => sweeps.forEach(clearInterval) });
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  async #aggregateSoon(): Promise<void> {
    if (this.#aggregating) return;
    this.#aggregating = true;
    // Wait for more changes, so that one pass handles a burst of changes.
    await this.#parts.clock.sleep(20).catch(() => undefined);
    this.#aggregating = false;
    await this.#aggregate();
  }

  /**
   * Fills the aggregated roles. Repeats that while something changes, because a role may select another aggregated
   * role.
   */
  async #aggregate(): Promise<void> {
    for (let round = 0; round < 5; round++) if (!(await this.#aggregateOnce())) return;
  }

  async #aggregateOnce(): Promise<boolean> {
    const { registry, store, log } = this.#parts;
    const type = registry.resource("rbac.authorization.k8s.io", "v1", "clusterroles");
    if (type === undefined) return false;
    const all = store
      .collection(clusterRoles)
      .list()
      .map((record) => record.object);
    let changed = false;
    for (const role of all) {
      const rules = aggregatedRules(role, all);
      if (rules === undefined || jsonEqual(rules, rulesOf(role))) continue;
      changed = true;
      try {
        await this.#writer.update(serverIntent(type, ""), role.metadata.name ?? "", (current) => ({
          ...current,
          rules,
        }));
      } catch (error) {
        if (!isGone(error))
          log.warn("a role could not be aggregated", { role: role.metadata.name, error: String(error) });
      }
    }
    return changed;
  }

  /**
   * Writes a token into a Secret of type `kubernetes.io/service-account-token`. The token is valid as long as the
   * Secret exists.
   */
  async #fillToken(namespace: string, name: string): Promise<void> {
    const { caCertificate, log, registry, store, tokens } = this.#parts;
    const type = registry.resource("", "v1", "secrets");
    if (type === undefined) return;
    const fill = (secret: UntypedObject): UntypedObject => {
      const accountName = secret.metadata.annotations?.[accountNameAnnotation] ?? "";
      const account = store.get("/serviceaccounts", namespace, accountName);
      if (account === undefined) return secret;
      const bound = { kind: "Secret", name, uid: secret.metadata.uid ?? "" } as const;
      const request = {
        namespace,
        serviceAccount: accountName,
        serviceAccountUid: account.uid,
        audiences: [],
        expirationSeconds: secretTokenSeconds,
        bound,
      };
      const data = {
        "ca.crt": base64(caCertificate),
        namespace: base64(namespace),
        token: base64(tokens.issue(request).token),
      };
      secret.metadata.annotations = { ...secret.metadata.annotations, [accountUidAnnotation]: account.uid };
      return { ...secret, data: { ...(secret["data"] as Record<string, string> | undefined), ...data } };
    };
    try {
      await this.#writer.update(serverIntent(type, namespace), name, fill);
    } catch (error) {
      if (!isGone(error))
        log.warn("a token secret could not be filled", { secret: `${namespace}/${name}`, error: String(error) });
    }
  }

  #forgetChanges(): void {
    const { store } = this.#parts;
    this.#revisions.push(store.revision);
    if (this.#revisions.length > knownSweeps) store.forget(this.#revisions.shift() ?? 0);
  }

  async #expireEvents(): Promise<void> {
    const { clock, log, store } = this.#parts;
    const collection = store.collection("/events");
    const before = clock.nowMs() - this.#eventTtlMs;
    for (const record of collection.list()) {
      const { lastTimestamp, eventTime } = record.object as UntypedObject & {
        lastTimestamp?: string | null;
        eventTime?: string | null;
      };
      const last = Date.parse(lastTimestamp ?? eventTime ?? record.object.metadata.creationTimestamp ?? "");
      if (last > before) continue;
      try {
        await store.remove("/events", record.namespace, record.name, record.revision);
      } catch (error) {
        log.warn("an old event could not be removed", { event: record.name, error: String(error) });
        return;
      }
    }
  }

  #cleanSoon(name: string): void {
    if (this.#cleaning.has(name)) return;
    this.#cleaning.add(name);
    setImmediate(() => {
      void this.#clean(name)
        .catch((error: unknown) => {
          if (!isGone(error))
            this.#parts.log.warn("a definition's objects could not be deleted", {
              definition: name,
              error: String(error),
            });
        })
        .finally(() => this.#cleaning.delete(name));
    });
  }

  /** Deletes the objects of a terminating CRD, waits for those with finalizers, and then removes the CRD. */
  async #clean(name: string): Promise<void> {
    const { registry, store } = this.#parts;
    const terminating = (): UntypedObject | undefined => {
      const definition = store.latest(customResourceDefinitionKey, "", name)?.object;
      const waits =
        definition?.metadata.deletionTimestamp !== undefined &&
        (definition.metadata.finalizers ?? []).includes(cleanupFinalizer);
      return waits ? definition : undefined;
    };
    if (terminating() === undefined) return;
    const type = typesOf(registry, name)[0];
    if (type !== undefined) {
      const collection = store.collection(type.storageKey);
      for (const record of collection.list()) {
        if (record.object.metadata.deletionTimestamp !== undefined) continue;
        await deleteOne(this.#parts, serverIntent(type, record.namespace), record.name, {}).catch((error: unknown) => {
          if (!isGone(error)) throw error;
        });
      }
      while (collection.size > 0 && terminating() !== undefined && !this.#parts.stopping.aborted)
        await this.#parts.clock.sleep(50);
    }
    const definitionType = registry.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    if (definitionType === undefined || this.#parts.stopping.aborted) return;
    const release = (current: UntypedObject): UntypedObject => {
      const finalizers = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== cleanupFinalizer);
      return { ...current, metadata: { ...current.metadata, finalizers } };
    };
    await this.#writer.update(serverIntent(definitionType, ""), name, release);
  }
}

const accountNameAnnotation = "kubernetes.io/service-account.name";
const accountUidAnnotation = "kubernetes.io/service-account.uid";
/**
 * The lifetime of a token in a Secret. It can be long, because the token becomes invalid when the Secret is deleted.
 */
const secretTokenSeconds = 10 * 365 * 86_400;

function lacksToken({ object }: StoredRecord): boolean {
  const { type, data } = object as UntypedObject & { type?: string; data?: Record<string, string> };
  return (
    type === "kubernetes.io/service-account-token" &&
    data?.["token"] === undefined &&
    object.metadata.deletionTimestamp === undefined
  );
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.reason === "NotFound";
}
