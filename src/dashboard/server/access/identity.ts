import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import type { TopicName } from "../../../api/dashboard/index.ts";
import type { KubeClient, KubeConfig } from "../../../kube/index.ts";
import type { AccessRight, ViewReader } from "../view-source.ts";

/** Access with a user's own credentials. */
export interface OwnCredentials {
  readonly client: KubeClient;
  readonly config: KubeConfig;
  /** Opens a stream to a port of a pod. */
  connectToPod(target: {
    readonly namespace: string;
    readonly pod: string;
    readonly port: number;
    readonly signal: AbortSignal;
  }): Promise<Duplex>;
}

/** A user with the rights that the API server grants. */
export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
  readonly authentication: "kubeconfig" | "token" | "anonymous";
  /**
   * The user's credentials. Undefined without a login. The server never uses its own account to write or to read logs.
   */
  readonly own: OwnCredentials | undefined;
  /** The credentials for reading: the user's own, or the server's for anonymous visitors. */
  readonly reading: KubeClient;
  /** Namespaces whose pods the user may list, cached for some seconds. */
  namespaces(): Promise<ReadonlySet<string> | "*">;
  /** The cluster-scoped kinds that views use and the user may not list. */
  hiddenKinds(): Promise<ReadonlySet<string>>;
  may(right: AccessRight): Promise<boolean>;
  /** Like `may`, but returns undefined while the API server does not answer. */
  knows(right: AccessRight): Promise<boolean | undefined>;
  /** False if the token has expired or is no longer accepted. */
  isValid(): Promise<boolean>;
  /** Releases its resources. */
  close(): void;
}

/**
 * The number of each identity, which is part of its readers' keys. A user with two logins has two identities, and views
 * must not be shared between them, because each uses the credentials of its own login.
 */
const numbers = new WeakMap<Identity, number>();
let identities = 0;

function numberOf(identity: Identity): number {
  let number = numbers.get(identity);
  if (number === undefined) numbers.set(identity, (number = identities += 1));
  return number;
}

/** The topics whose views depend on what the user may do. */
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
