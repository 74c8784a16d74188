import { createHash } from "node:crypto";
import { messageOf, userError, SerinError, transientError, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

/** Who calls, as its credentials prove. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that a bound token is of; empty when unknown. */
  readonly pod: string;
}

/** What a connection shows. */
export interface Credentials {
  readonly authorization: string | undefined;
  /** Of a verified client certificate: its subject alternative names as node:tls prints them. */
  readonly subjectAltName: string | undefined;
}

interface TokenReview {
  status?: { authenticated?: boolean; error?: string; user?: { username?: string; extra?: Record<string, string[]> } };
}

interface CachedReview {
  readonly caller: Caller;
  readonly untilMs: number;
}

const audience = "istio-ca";
const reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews";
const cacheMs = 60_000;
const cacheEntries = 10_000;
const podNameExtra = "authentication.kubernetes.io/pod-name";
const httpCreated = 201;
const httpOk = 200;

/** Authenticates by a verified client certificate of the mesh, or by a service account token for the audience `istio-ca`. */
export class Authenticator {
  readonly #client: KubeClient;
  readonly #trustDomain: () => string;
  readonly #clock: Clock;
  readonly #reviews = new Map<string, CachedReview>();

  constructor(client: KubeClient, trustDomain: () => string, clock: Clock) {
    this.#client = client;
    this.#trustDomain = trustDomain;
    this.#clock = clock;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const token = /^Bearer (.+)$/i.exec(credentials.authorization ?? "")?.[1];
    if (token !== undefined) return await this.#byToken(token);
    const caller = this.#byCertificate(credentials.subjectAltName ?? "");
    if (caller !== undefined) return caller;
    throw userError("unauthenticated", "the caller shows neither a token nor a client certificate of this mesh", {
      hint: `send a service account token for the audience ${audience} as "authorization: Bearer …"`,
    });
  }

  #byCertificate(subjectAltName: string): Caller | undefined {
    for (const entry of subjectAltName.split(", ")) {
      const identity = parseSpiffeId(entry.startsWith("URI:") ? entry.slice("URI:".length) : "");
      if (identity !== undefined && identity.trustDomain === this.#trustDomain()) return { namespace: identity.namespace, serviceAccount: identity.serviceAccount, pod: "" };
    }
    return undefined;
  }

  async #byToken(token: string): Promise<Caller> {
    const key = createHash("sha256").update(token).digest("base64");
    const now = this.#clock.nowMs();
    const cached = this.#reviews.get(key);
    if (cached !== undefined && cached.untilMs > now) return cached.caller;
    const caller = callerOf(await this.#review(token));
    this.#reviews.delete(key);
    if (this.#reviews.size >= cacheEntries) this.#reviews.delete(this.#reviews.keys().next().value ?? "");
    this.#reviews.set(key, { caller, untilMs: now + cacheMs });
    return caller;
  }

  async #review(token: string): Promise<TokenReview> {
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [audience] } };
    try {
      const response = await this.#client.raw("POST", reviewPath, { body });
      if (response.status === httpCreated || response.status === httpOk) return JSON.parse(response.text) as TokenReview;
      throw transientError("review-failed", `the API server answered ${response.status} to a TokenReview`);
    } catch (error) {
      if (error instanceof SerinError && error.kind !== "internal") throw transientError("review-failed", `the caller's token could not be checked: ${messageOf(error)}`, { cause: error });
      throw error;
    }
  }
}

function callerOf(review: TokenReview): Caller {
  const { status } = review;
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status?.user?.username ?? "");
  if (status?.authenticated !== true || account === null) {
    throw userError("unauthenticated", `the caller's token is not valid${status?.error === undefined || status.error === "" ? "" : `: ${status.error}`}`, {
      hint: `use a service account token for the audience ${audience} that has not expired`,
    });
  }
  return { namespace: account[1] ?? "", serviceAccount: account[2] ?? "", pod: status.user?.extra?.[podNameExtra]?.[0] ?? "" };
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
