import { createHash } from "node:crypto";
import { messageOf, userError, SerinError, transientError, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

/** Who calls, as its credentials prove. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that a bound token is of; empty when unknown. */
  readonly pod: string;
  readonly podUid: string;
  /** Whose token it is; that of the control plane for certificates, which all clusters of a mesh share. */
  readonly clusterId: string;
}

/** What a connection shows. */
export interface Credentials {
  readonly authorization: string | undefined;
  /** Of a verified client certificate: its subject alternative names as node:tls prints them. */
  readonly subjectAltName: string | undefined;
  /** The header `clusterid`: where the token is of; empty for the cluster of the control plane. */
  readonly clusterId: string;
}

export interface AuthenticatorOptions {
  /** The API server that issues a cluster's tokens; undefined for a cluster that is not known. */
  readonly clientOf: (clusterId: string) => KubeClient | undefined;
  /** For messages. */
  readonly clusterIds: () => readonly string[];
  /** Of the control plane's own cluster. */
  readonly clusterId: string;
  /** A token must be for one of them. */
  readonly audiences: readonly string[];
  readonly trustDomain: () => string;
  readonly clock: Clock;
}

interface TokenReview {
  status?: { authenticated?: boolean; error?: string; audiences?: readonly string[]; user?: { username?: string; groups?: string[]; extra?: Record<string, string[]> } };
}

interface CachedReview {
  readonly caller: Caller;
  readonly untilMs: number;
}

const reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews";
const cacheMs = 60_000;
const cacheEntries = 10_000;
const podNameExtra = "authentication.kubernetes.io/pod-name";
const podUidExtra = "authentication.kubernetes.io/pod-uid";
const accountsGroup = "system:serviceaccounts";
const httpCreated = 201;
const httpOk = 200;

/** Authenticates by a service account token for one of the audiences, or else by a verified client certificate of the mesh. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #reviews = new Map<string, CachedReview>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const token = /^Bearer (.+)$/i.exec(credentials.authorization ?? "")?.[1];
    const caller = this.#byCertificate(credentials.subjectAltName ?? "");
    if (token !== undefined) return await this.#byTokenOr(token, credentials.clusterId, caller);
    if (caller !== undefined) return caller;
    throw userError("unauthenticated", "the caller shows neither a token nor a client certificate of this mesh", { hint: `send a service account token for the ${this.#audiences()} as "authorization: Bearer …"` });
  }

  /** A proxy that renews shows both: its certificate counts when the token, which may have expired, does not. */
  async #byTokenOr(token: string, clusterId: string, caller: Caller | undefined): Promise<Caller> {
    try {
      return await this.#byToken(token, clusterId);
    } catch (error) {
      if (caller !== undefined && error instanceof SerinError && error.kind !== "internal") return caller;
      throw error;
    }
  }

  #byCertificate(subjectAltName: string): Caller | undefined {
    for (const entry of subjectAltName.split(", ")) {
      const identity = parseSpiffeId(entry.startsWith("URI:") ? entry.slice("URI:".length) : "");
      if (identity?.trustDomain === this.#options.trustDomain()) {
        return { namespace: identity.namespace, serviceAccount: identity.serviceAccount, pod: "", podUid: "", clusterId: this.#options.clusterId };
      }
    }
    return undefined;
  }

  async #byToken(token: string, shown: string): Promise<Caller> {
    const { clientOf, clusterIds, clock } = this.#options;
    const clusterId = shown === "" ? this.#options.clusterId : shown;
    const client = clientOf(clusterId);
    if (client === undefined) {
      throw userError("unauthenticated", `the caller says that it is of the cluster "${clusterId}", which is not known here`, { hint: `known are ${clusterIds().join(", ")}: correct ISTIO_META_CLUSTER_ID of the proxy, or add the cluster's secret` });
    }
    const key = createHash("sha256").update(clusterId).update("\0").update(token).digest("base64");
    const now = clock.nowMs();
    const cached = this.#reviews.get(key);
    if (cached !== undefined && cached.untilMs > now) return cached.caller;
    const caller = this.#callerOf(await this.#review(client, token), clusterId);
    this.#reviews.delete(key);
    if (this.#reviews.size >= cacheEntries) this.#reviews.delete(this.#reviews.keys().next().value ?? "");
    this.#reviews.set(key, { caller, untilMs: now + cacheMs });
    return caller;
  }

  async #review(client: KubeClient, token: string): Promise<TokenReview> {
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: this.#options.audiences } };
    try {
      const response = await client.raw("POST", reviewPath, { body });
      if (response.status === httpCreated || response.status === httpOk) return JSON.parse(response.text) as TokenReview;
      throw transientError("review-failed", `the API server answered ${response.status} to a TokenReview`);
    } catch (error) {
      if (error instanceof SerinError && error.kind !== "internal") throw transientError("review-failed", `the caller's token could not be checked: ${messageOf(error)}`, { cause: error });
      throw error;
    }
  }

  #callerOf({ status }: TokenReview, clusterId: string): Caller {
    const { username = "", groups = [], extra = {} } = status?.user ?? {};
    const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username);
    const { audiences } = this.#options;
    // A server, or an authenticator of its, that knows of no audiences says none: the token may then be for anybody.
    const isForUs = status?.authenticated !== true || status.audiences?.some((audience) => audiences.includes(audience)) === true;
    const isFor = status?.audiences ?? [];
    const error = status?.error ?? "";
    const fault = error !== "" || isForUs ? error : `it is for ${isFor.length === 0 ? "no audience that the API server would name" : isFor.join(", ")}`;
    if (status?.authenticated !== true || fault !== "" || account === null || !groups.includes(accountsGroup)) {
      const reason = fault !== "" ? `: ${fault}` : status?.authenticated === true ? `: ${username} is no service account` : "";
      throw userError("unauthenticated", `the caller's token is not valid${reason}`, { hint: `use a service account token for the ${this.#audiences()} that has not expired` });
    }
    return { namespace: account[1] ?? "", serviceAccount: account[2] ?? "", pod: extra[podNameExtra]?.[0] ?? "", podUid: extra[podUidExtra]?.[0] ?? "", clusterId };
  }

  #audiences(): string {
    const { audiences } = this.#options;
    return `${audiences.length === 1 ? "audience" : "audiences"} ${audiences.join(", ")}`;
  }
}

export interface SpiffeId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Reads `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const found = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text);
  return found === null ? undefined : { trustDomain: found[1] ?? "", namespace: found[2] ?? "", serviceAccount: found[3] ?? "" };
}

export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}
