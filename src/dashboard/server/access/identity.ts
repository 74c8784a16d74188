import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import type { TopicName } from "../../../api/dashboard/index.ts";
import type { KubeClient, KubeConfig } from "../../../kube/index.ts";
import type { AccessRight, ViewReader } from "../view-source.ts";

export interface OwnCredentials {
  readonly client: KubeClient;
  readonly config: KubeConfig;
  connectToPod(target: {
    readonly namespace: string;
    readonly pod: string;
    readonly port: number;
    readonly signal: AbortSignal;
  }): Promise<Duplex>;
}

export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
  readonly authentication: "kubeconfig" | "token" | "anonymous";
  /**
   * Undefined without a login. Writing and reading logs need it, because the server never uses its own account for
   * these.
   */
  readonly own: OwnCredentials | undefined;
  /** The client for reading. It has the user's own credentials, or those of the server for anonymous visitors. */
  readonly reading: KubeClient;
  /** The namespaces whose pods the user may list. The answer may be some seconds old. */
  namespaces(): Promise<ReadonlySet<string> | "*">;
  /** The cluster-scoped kinds of views that the user may not list. */
  hiddenKinds(): Promise<ReadonlySet<string>>;
  may(right: AccessRight): Promise<boolean>;
  /** As `may`, but undefined while the API server does not answer. */
  knows(right: AccessRight): Promise<boolean | undefined>;
  /** False if the token has expired, or if the API server no longer accepts it. */
  isValid(): Promise<boolean>;
  close(): void;
}

/**
 * The number of each identity, as a part of the keys of its readers. A user with two logins has two identities. They
 * share no view, because each reads with the credentials of its own login.
 */
const numbers = new WeakMap<Identity, number>();
let identities = 0;

function numberOf(identity: Identity): number {
  let number = numbers.get(identity);
  if (number === undefined) numbers.set(identity, (number = identities += 1));
  return number;
}

/** The topics whose views show what the user may do. */
const personalTopics: ReadonlySet<TopicName> = new Set(["rollout", "config"]);

export async function readerOf(identity: Identity, topic: TopicName): Promise<ViewReader> {
  const [namespaces, hiddenKinds] = await Promise.all([identity.namespaces(), identity.hiddenKinds()]);
  const hidden = hiddenKinds.size === 0 ? "" : ` without ${[...hiddenKinds].toSorted().join(" ")}`;
  if (personalTopics.has(topic)) {
    const key = `user ${numberOf(identity)} ${digest(namesOf(namespaces))}${hidden}`;
    return { key, namespaces, hiddenKinds, may: async (right) => await identity.may(right) };
  }
  return {
    key: `${namespaces === "*" ? "*" : `in ${digest(namesOf(namespaces))}`}${hidden}`,
    namespaces,
    hiddenKinds,
    may: async () => await Promise.resolve(false),
  };
}

function namesOf(namespaces: ReadonlySet<string> | "*"): readonly string[] {
  return namespaces === "*" ? ["*"] : [...namespaces].toSorted();
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
}
