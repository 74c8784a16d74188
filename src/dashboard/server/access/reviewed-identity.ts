import { podKind, namespaceKind } from "../../../api/kubernetes/index.ts";
import { freezeKind, meshUpgradeKind } from "../../../api/serin/index.ts";
import type { Clock } from "../../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../../kube/index.ts";
import { limits } from "../limits.ts";
import { refusal } from "../../problem.ts";
import type { AccessRight } from "../view-source.ts";
import type { Identity, OwnCredentials } from "./identity.ts";
import { reviewAccess, type KnownUser } from "./reviews.ts";

export interface ReviewedIdentityOptions {
  readonly known: KnownUser;
  readonly authentication: Identity["authentication"];
  readonly own: OwnCredentials | undefined;
  /** The client with the user's own credentials, which creates access reviews. */
  readonly asking: KubeClient;
  /** The client that lists the namespaces about which it asks. */
  readonly listing: KubeClient;
  /** The only namespace to ask about if namespaces cannot be listed. */
  readonly ownNamespace: string;
  readonly clock: Clock;
  /** When the token expires. The identity is invalid from then on, even if the API server still accepts the token. */
  readonly expiresAtMs?: number | undefined;
  readonly isTaken: () => Promise<boolean>;
  readonly close?: () => void;
}

interface Answer {
  readonly allowed: Promise<boolean>;
  readonly atMs: number;
}

/** How long an answer of the API server is used. Later changes of rights take effect after this time. */
const rightsHoldMs = 10_000;
const namespacesHoldMs = 30_000;
const takenHoldsMs = 60_000;
/** How long old answers are used while the API server does not answer. */
const awayHoldsMs = 600_000;
const maxNamespaces = 1_000;
const reviewsAtOnce = 16;
/** Cluster-scoped kinds. A user who may list pods in some namespace may lack the right to list them. */
const clusterKinds = [meshUpgradeKind, freezeKind] as const;

/** A user about whose rights the server asks the API server, one by one. Answers are cached for some seconds. */
export class ReviewedIdentity implements Identity {
  readonly #options: ReviewedIdentityOptions;
  readonly #answers = new Map<string, Answer>();
  #namespaces: { readonly value: ReadonlySet<string> | "*"; atMs: number } | undefined;
  #hiddenKinds: { readonly value: ReadonlySet<string>; readonly atMs: number } | undefined;
  #review: Promise<ReadonlySet<string> | "*"> | undefined;
  #takenAtMs: number;
  #isOver = false;

  constructor(options: ReviewedIdentityOptions) {
    this.#options = options;
    this.#takenAtMs = options.clock.steadyMs();
  }

  get user(): string {
    return this.#options.known.user;
  }

  get groups(): readonly string[] {
    return this.#options.known.groups;
  }

  get authentication(): Identity["authentication"] {
    return this.#options.authentication;
  }

  get own(): OwnCredentials | undefined {
    return this.#options.own;
  }

  get reading(): KubeClient {
    return this.#options.asking;
  }

  close(): void {
    this.#isOver = true;
    this.#answers.clear();
    this.#options.close?.();
  }

  async isValid(): Promise<boolean> {
    const { clock, expiresAtMs, isTaken } = this.#options;
    if (this.#isOver || (expiresAtMs !== undefined && clock.nowMs() >= expiresAtMs)) return false;
    const nowMs = clock.steadyMs();
    if (nowMs - this.#takenAtMs < takenHoldsMs) return true;
    try {
      if (!(await isTaken())) {
        this.#isOver = true;
        return false;
      }
      this.#takenAtMs = nowMs;
      return true;
    } catch {
      return nowMs - this.#takenAtMs < awayHoldsMs;
    }
  }

  async may(right: AccessRight): Promise<boolean> {
    return (await this.knows(right)) === true;
  }

  async knows(right: AccessRight): Promise<boolean | undefined> {
    try {
      return await this.#ask(right);
    } catch {
      return undefined;
    }
  }

  async namespaces(): Promise<ReadonlySet<string> | "*"> {
    const nowMs = this.#options.clock.steadyMs();
    if (this.#namespaces !== undefined && nowMs - this.#namespaces.atMs < namespacesHoldMs)
      return this.#namespaces.value;
    try {
      this.#review ??= this.#readNamespaces();
      const value = await this.#review;
      this.#namespaces = { value, atMs: nowMs };
      return value;
    } catch (error) {
      if (
        this.#namespaces !== undefined &&
        nowMs - this.#namespaces.atMs < awayHoldsMs &&
        !isKubeCode(error, "unauthorized")
      )
        return this.#namespaces.value;
      throw error;
    } finally {
      this.#review = undefined;
    }
  }

  async hiddenKinds(): Promise<ReadonlySet<string>> {
    const nowMs = this.#options.clock.steadyMs();
    try {
      const answers = await Promise.all(
        clusterKinds.map(
          async ({ group, plural }) => await this.#ask({ verb: "list", group, resource: plural, namespace: "" }),
        ),
      );
      const value = new Set(clusterKinds.filter((_, index) => answers[index] !== true).map(({ kind }) => kind));
      this.#hiddenKinds = { value, atMs: nowMs };
      return value;
    } catch (error) {
      if (
        this.#hiddenKinds !== undefined &&
        nowMs - this.#hiddenKinds.atMs < awayHoldsMs &&
        !isKubeCode(error, "unauthorized")
      )
        return this.#hiddenKinds.value;
      throw error;
    }
  }

  async #readNamespaces(): Promise<ReadonlySet<string> | "*"> {
    const { listing, ownNamespace } = this.#options;
    if (await this.#ask(listPods(""))) return "*";
    let names: string[];
    try {
      names = (await listing.list(namespaceKind)).items.map(({ metadata }) => metadata.name ?? "");
    } catch (error) {
      if (!isKubeCode(error, "forbidden")) throw error;
      names = [ownNamespace];
    }
    const waiting = names.toSorted().slice(0, maxNamespaces);
    const found = new Set<string>();
    const work = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
        if (await this.#ask(listPods(name))) found.add(name);
    };
    await Promise.all(Array.from({ length: reviewsAtOnce }, work));
    return found;
  }

  async #ask(right: AccessRight): Promise<boolean> {
    if (this.#isOver) throw refusal("logged-out", "the session has ended", "log in again");
    const key = [
      right.verb,
      right.group,
      right.resource,
      right.subresource ?? "",
      right.namespace,
      right.name ?? "",
    ].join("\n");
    const nowMs = this.#options.clock.steadyMs();
    const before = this.#answers.get(key);
    if (before !== undefined && nowMs - before.atMs < rightsHoldMs) return await before.allowed;
    const allowed = reviewAccess(this.#options.asking, right);
    this.#answers.delete(key);
    this.#answers.set(key, { allowed, atMs: nowMs });
    if (this.#answers.size > limits.answersOfRights)
      for (const oldest of this.#answers.keys())
        if (this.#answers.size > limits.answersOfRights) this.#answers.delete(oldest);
    // A failed request is not cached, so the next caller asks again.
    allowed.catch(() => this.#answers.delete(key));
    return await allowed;
  }
}

function listPods(namespace: string): AccessRight {
  return { verb: "list", group: podKind.group, resource: podKind.plural, namespace };
}
