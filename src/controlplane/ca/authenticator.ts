import { createHash } from "node:crypto";
import { alternativeNames, messageOf, userError, SerinError, transientError, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { accountExists } from "./account-check.ts";
import { defaultReviewBounds, ReviewQueue } from "./review-queue.ts";

export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod to which the token is bound. Empty if unknown. */
  readonly pod: string;
  readonly podUid: string;
  /**
   * The cluster that issued the token. For a certificate, it is the control plane's own cluster, because all clusters
   * of a mesh share the authority.
   */
  readonly clusterId: string;
}

/**
 * The subject alternative names that a client certificate proves now, as node:tls prints them, or why it proves none.
 */
export type ProvenNames = { readonly subjectAltName: string; readonly fault?: undefined } | { readonly fault: string };

/** A client certificate whose chain was trusted at the handshake. */
export interface ShownCertificate {
  names(): ProvenNames;
  markUsed(): void;
}

export interface Credentials {
  readonly authorization: string | undefined;
  readonly certificate: ShownCertificate | undefined;
  /** The header `clusterid`: the cluster that issued the token. Empty for the control plane's own cluster. */
  readonly clusterId: string;
  /** The source address of the connection. Callers with the same address share a limit of token reviews. */
  readonly address: string;
}

export interface AuthenticatorOptions {
  readonly clientOf: (clusterId: string) => KubeClient | undefined;
  /** The known clusters, for error messages. */
  readonly clusterIds: () => readonly string[];
  /** Whether all clusters that may belong to the mesh are known and can be read. */
  readonly readsAllClusters: () => boolean;
  /** The uid of a running pod, as last seen. Undefined if no such pod is known. */
  readonly uidOfPod: (clusterId: string, namespace: string, pod: string) => string | undefined;
  readonly clusterId: string;
  /** A token must have one of these audiences. */
  readonly audiences: readonly string[];
  readonly trustDomain: () => string;
  readonly clock: Clock;
  /** The maximum number of remembered results: so many accepted tokens, and so many refused ones. */
  readonly remembered?: number;
}

interface TokenReview {
  status?: {
    authenticated?: boolean;
    error?: string;
    audiences?: readonly string[];
    user?: { username?: string; groups?: string[]; extra?: Record<string, string[]> };
  };
}

interface Verdict {
  readonly result: Caller | SerinError;
  readonly untilMs: number;
  /** Whether the verdict becomes invalid when the token's pod no longer runs. */
  readonly isOfPod?: boolean;
}

const reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews";
/** How long an accepted token is remembered as long as its pod runs. */
const ofPodMs = 60_000;
/**
 * How long all other accepted credentials are remembered, because nothing reports when they become invalid. An API
 * server also remembers a token review for this time.
 */
const acceptedMs = 10_000;
/**
 * How long the check of an account is remembered if it refused the account or got no answer. The time is short, because
 * an API server that does not know an account yet may know it a moment later.
 */
const refusedMs = 5000;
/** The maximum number of remembered results of each kind, so that refused tokens do not displace accepted ones. */
const defaultRemembered = 10_000;
const podNameExtra = "authentication.kubernetes.io/pod-name";
const podUidExtra = "authentication.kubernetes.io/pod-uid";
const accountsGroup = "system:serviceaccounts";
const httpCreated = 201;
const httpOk = 200;

/**
 * Authenticates callers by a service account token for one of the audiences, or else by a client certificate of the
 * mesh.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #accepted = new Map<string, Verdict>();
  readonly #refused = new Map<string, Verdict>();
  /** Reviews in progress. A proxy opens several streams with the same token, which share one review. */
  readonly #underWay = new Map<string, Promise<Caller>>();
  readonly #checksUnderWay = new Map<string, Promise<SerinError | undefined>>();
  /** One queue for each cluster, so that a cluster that does not answer delays only its own callers. */
  readonly #queues = new WeakMap<KubeClient, ReviewQueue>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const token = /^Bearer (.+)$/i.exec(credentials.authorization ?? "")?.[1];
    if (token !== undefined) return await this.#byTokenOr(token, credentials);
    const { caller, fault } = this.#byCertificate(credentials);
    if (caller !== undefined) return await this.#accept(caller, credentials);
    const reason =
      fault === undefined
        ? "the caller sent neither a token nor a client certificate of this mesh"
        : `the caller's client certificate is no longer accepted: ${fault}`;
    throw userError("unauthenticated", reason, {
      hint: `send a service account token for the ${this.#audiences()} as "authorization: Bearer …"`,
    });
  }

  /**
   * Authenticates by the token, or else by the certificate. A proxy that renews its certificate sends both, and its
   * token may have expired.
   */
  async #byTokenOr(token: string, credentials: Credentials): Promise<Caller> {
    try {
      return await this.#byToken(token, credentials);
    } catch (error) {
      if (!(error instanceof SerinError) || error.kind === "internal") throw error;
      const { caller } = this.#byCertificate(credentials);
      if (caller === undefined) throw error;
      return await this.#accept(caller, credentials);
    }
  }

  /**
   * Accepts the caller by its certificate. From then on, the connection ends when the certificate expires. A refused
   * certificate is not marked as used, so its expiry does not end the connection.
   */
  async #accept(caller: Caller, credentials: Credentials): Promise<Caller> {
    await this.#refuseGone(caller, credentials);
    credentials.certificate?.markUsed();
    return caller;
  }

  /**
   * Refuses a certificate of an account that was deleted in all clusters. The API server sees no token of it that it
   * could refuse, so the certificate could otherwise be renewed forever. If the account may be in another cluster, or
   * if an API server does not answer in time, the certificate suffices.
   */
  async #refuseGone(caller: Caller, { address, clusterId: shown }: Credentials): Promise<void> {
    const { clientOf, clusterIds, readsAllClusters, clusterId } = this.#options;
    if (!readsAllClusters()) return;
    const key = `account ${caller.namespace}/${caller.serviceAccount}`;
    const known = this.#known(this.#accepted, key) ?? this.#known(this.#refused, key);
    if (known instanceof SerinError) throw known;
    if (known !== undefined) return;
    let check = this.#checksUnderWay.get(key);
    if (check === undefined) {
      const named = clientOf(shown);
      const clients = [named ?? clientOf(clusterId), ...clusterIds().map(clientOf)];
      check = this.#check([...new Set(clients.filter((client) => client !== undefined))], caller, address, key).finally(
        () => this.#checksUnderWay.delete(key),
      );
      this.#checksUnderWay.set(key, check);
    }
    const gone = await check;
    if (gone !== undefined) throw gone;
  }

  /**
   * Checks whether the caller's account exists, and remembers the result. Returns why the caller is refused, or
   * undefined if it is not.
   */
  async #check(
    clients: readonly KubeClient[],
    caller: Caller,
    address: string,
    key: string,
  ): Promise<SerinError | undefined> {
    const { clock } = this.#options;
    const { namespace, serviceAccount } = caller;
    const exists = await accountExists(
      caller,
      clients,
      clock,
      async (client, question) => await this.#queueOf(client).run(address, question),
    );
    const nowMs = clock.nowMs();
    if (exists !== false) {
      const untilMs = nowMs + (exists === true ? acceptedMs : refusedMs);
      this.#remember(this.#accepted, key, { result: caller, untilMs });
      return undefined;
    }
    const gone = userError(
      "unauthenticated",
      `the service account ${namespace}/${serviceAccount} of the caller's client certificate does not exist`,
      { hint: `kubectl get serviceaccount ${serviceAccount} -n ${namespace}` },
    );
    this.#remember(this.#refused, key, { result: gone, untilMs: nowMs + refusedMs });
    return gone;
  }

  #queueOf(client: KubeClient): ReviewQueue {
    let queue = this.#queues.get(client);
    if (queue === undefined) this.#queues.set(client, (queue = new ReviewQueue(defaultReviewBounds)));
    return queue;
  }

  #byCertificate({ certificate }: Credentials): { readonly caller?: Caller; readonly fault?: string } {
    const names = certificate?.names() ?? { subjectAltName: "" };
    if (names.fault !== undefined) return { fault: names.fault };
    const caller = this.#namedBy(names.subjectAltName);
    return caller === undefined ? {} : { caller };
  }

  #namedBy(subjectAltName: string): Caller | undefined {
    for (const { kind, value } of alternativeNames(subjectAltName)) {
      const identity = parseSpiffeId(kind === "URI" ? value : "");
      if (identity?.trustDomain === this.#options.trustDomain()) {
        return {
          namespace: identity.namespace,
          serviceAccount: identity.serviceAccount,
          pod: "",
          podUid: "",
          clusterId: this.#options.clusterId,
        };
      }
    }
    return undefined;
  }

  async #byToken(token: string, { clusterId: shown, address }: Credentials): Promise<Caller> {
    const { clientOf, clusterIds } = this.#options;
    const clusterId = shown === "" ? this.#options.clusterId : shown;
    const client = clientOf(clusterId);
    if (client === undefined) {
      throw userError(
        "unauthenticated",
        `the caller claims to be in the cluster "${clusterId}", which this control plane does not know`,
        {
          hint: `known clusters: ${clusterIds().join(", ")}; correct ISTIO_META_CLUSTER_ID of the proxy, or add the cluster's secret`,
        },
      );
    }
    const key = createHash("sha256").update(clusterId).update("\0").update(token).digest("base64");
    const known = this.#known(this.#accepted, key) ?? this.#known(this.#refused, key);
    if (known instanceof SerinError) throw known;
    if (known !== undefined) return known;
    let review = this.#underWay.get(key);
    if (review === undefined) {
      review = this.#queueOf(client)
        .run(address, () => this.#decide(client, token, clusterId, key))
        .finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, review);
    }
    return await review;
  }

  #known(verdicts: ReadonlyMap<string, Verdict>, key: string): Caller | SerinError | undefined {
    const known = verdicts.get(key);
    if (known === undefined || known.untilMs <= this.#options.clock.nowMs()) return undefined;
    if (known.isOfPod === true && !(known.result instanceof SerinError) && !this.#seesPodOf(known.result))
      return undefined;
    return known.result;
  }

  #seesPodOf({ clusterId, namespace, pod, podUid }: Caller): boolean {
    return podUid !== "" && this.#options.uidOfPod(clusterId, namespace, pod) === podUid;
  }

  async #decide(client: KubeClient, token: string, clusterId: string, key: string): Promise<Caller> {
    const review = await this.#review(client, token);
    const nowMs = this.#options.clock.nowMs();
    try {
      const caller = this.#callerOf(review, clusterId);
      const isOfPod = this.#seesPodOf(caller);
      this.#remember(this.#accepted, key, {
        result: caller,
        untilMs: nowMs + (isOfPod ? ofPodMs : acceptedMs),
        isOfPod,
      });
      return caller;
    } catch (error) {
      if (error instanceof SerinError && error.kind === "user")
        this.#remember(this.#refused, key, { result: error, untilMs: nowMs + refusedMs });
      throw error;
    }
  }

  #remember(verdicts: Map<string, Verdict>, key: string, verdict: Verdict): void {
    verdicts.delete(key);
    if (verdicts.size >= (this.#options.remembered ?? defaultRemembered))
      verdicts.delete(verdicts.keys().next().value ?? "");
    verdicts.set(key, verdict);
  }

  async #review(client: KubeClient, token: string): Promise<TokenReview> {
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: this.#options.audiences },
    };
    try {
      const response = await client.raw("POST", reviewPath, { body });
      if (response.status === httpCreated || response.status === httpOk)
        return JSON.parse(response.text) as TokenReview;
      throw transientError("review-failed", `the API server answered ${response.status} to a TokenReview`);
    } catch (error) {
      if (error instanceof SerinError && error.kind !== "internal")
        throw transientError("review-failed", `the caller's token could not be checked: ${messageOf(error)}`, {
          cause: error,
        });
      throw error;
    }
  }

  #callerOf({ status }: TokenReview, clusterId: string): Caller {
    const { username = "", groups = [], extra = {} } = status?.user ?? {};
    const refused = (reason: string): Error =>
      userError("unauthenticated", `the caller's token is not valid${reason === "" ? "" : `: ${reason}`}`, {
        hint: `use a service account token for the ${this.#audiences()} that has not expired`,
      });
    const fault = this.#faultOf(status);
    if (fault !== undefined) throw refused(fault);
    const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username);
    if (account === null || !groups.includes(accountsGroup)) throw refused(`${username} is not a service account`);
    return {
      namespace: account[1] ?? "",
      serviceAccount: account[2] ?? "",
      pod: extra[podNameExtra]?.[0] ?? "",
      podUid: extra[podUidExtra]?.[0] ?? "",
      clusterId,
    };
  }

  /** Why the token is invalid: empty if the API server gives no reason, and undefined if the token is valid. */
  #faultOf(status: TokenReview["status"]): string | undefined {
    const { authenticated, audiences: isFor = [], error = "" } = status ?? {};
    if (error !== "") return error;
    if (authenticated !== true) return "";
    // An API server whose authenticator does not check audiences returns none. The token may be meant for any receiver,
    // so it is refused.
    if (isFor.some((audience) => this.#options.audiences.includes(audience))) return undefined;
    return `it is for ${isFor.length === 0 ? "none of the expected audiences" : isFor.join(", ")}`;
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

export function parseSpiffeId(text: string): SpiffeId | undefined {
  const found = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text);
  return found === null
    ? undefined
    : { trustDomain: found[1] ?? "", namespace: found[2] ?? "", serviceAccount: found[3] ?? "" };
}

export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}
