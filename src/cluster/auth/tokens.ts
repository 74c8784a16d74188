import { createHash, createPrivateKey, createPublicKey, randomUUID, sign, verify, type KeyObject } from "node:crypto";
import { BoundedCache, type Clock } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Store } from "../store/index.ts";
import type { User } from "./user.ts";

/** The object to which a token is bound. When the object is deleted, the token becomes invalid. */
export interface BoundObject {
  readonly kind: "Pod" | "Secret" | "Node";
  readonly name: string;
  readonly uid: string;
}

export interface TokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  readonly bound?: BoundObject;
  /** The node of the bound pod. It has no uid if the node no longer exists. */
  readonly node?: { readonly name: string; readonly uid?: string };
}

interface Claims {
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly iss: string;
  readonly jti: string;
  readonly nbf: number;
  readonly sub: string;
  readonly "kubernetes.io": {
    readonly namespace: string;
    readonly serviceaccount: { readonly name: string; readonly uid: string };
    readonly pod?: { readonly name: string; readonly uid: string };
    readonly secret?: { readonly name: string; readonly uid: string };
    readonly node?: { readonly name: string; readonly uid?: string };
  };
}

export interface VerifiedToken {
  readonly user: User;
  /** Those of the requested audiences that the token contains. */
  readonly audiences: readonly string[];
}

const defaultIssuer = "https://kubernetes.default.svc.cluster.local";
/**
 * The audiences of tokens for the API server itself, like kube-apiserver's `--api-audiences`. Many clusters accept the
 * short name, for example those of Istio's own tests.
 */
const apiAudiences: readonly string[] = [defaultIssuer, "kubernetes.default.svc"];
/**
 * How long an object's tokens stay valid after its deletion has begun, if a finalizer or the grace period keeps the
 * object.
 */
const deletedLeewayMs = 60_000;
const maximumCachedSignatures = 4096;

/**
 * Issues and checks the JSON web tokens (ES256) of service accounts. A token is bound to its account, and may also be
 * bound to a pod, a Secret or a node.
 */
export class ServiceAccountTokens {
  readonly issuer = defaultIssuer;
  readonly apiAudiences = apiAudiences;
  readonly #key: KeyObject;
  readonly #public: KeyObject;
  readonly #keyId: string;
  readonly #store: Store;
  readonly #clock: Clock;
  /** The claims of tokens whose signature was verified. Expiry and bindings are checked at each use. */
  readonly #checked = new BoundedCache<string, Claims>(maximumCachedSignatures);

  constructor(privateKeyPem: string, store: Store, clock: Clock) {
    this.#key = createPrivateKey(privateKeyPem);
    this.#public = createPublicKey(this.#key);
    const der = this.#public.export({ type: "spki", format: "der" });
    this.#keyId = createHash("sha256").update(der).digest("base64url");
    this.#store = store;
    this.#clock = clock;
  }

  issue(request: TokenRequest): { readonly token: string; readonly expiresAtMs: number } {
    const now = Math.floor(this.#clock.nowMs() / 1000);
    const { bound } = request;
    const claims: Claims = {
      aud: request.audiences.length > 0 ? request.audiences : [this.issuer],
      exp: now + request.expirationSeconds,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace: request.namespace,
        ...(request.node === undefined ? {} : { node: request.node }),
        ...(bound === undefined ? {} : { [bound.kind.toLowerCase()]: { name: bound.name, uid: bound.uid } }),
        serviceaccount: { name: request.serviceAccount, uid: request.serviceAccountUid },
      },
      nbf: now,
      sub: `system:serviceaccount:${request.namespace}:${request.serviceAccount}`,
    };
    const head = encode({ alg: "ES256", kid: this.#keyId });
    const signed = `${head}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: this.#key, dsaEncoding: "ieee-p1363" });
    return { token: `${signed}.${signature.toString("base64url")}`, expiresAtMs: claims.exp * 1000 };
  }

  /**
   * Reads a token. Returns undefined if another issuer issued it, if it is forged or expired, if it is for other
   * audiences, or if an object to which it is bound no longer exists.
   */
  verify(token: string, wantedAudiences = apiAudiences): VerifiedToken | undefined {
    const claims = this.#claimsOf(token);
    if (claims === undefined) return undefined;
    const now = this.#clock.nowMs() / 1000;
    if (claims.iss !== this.issuer || claims.exp <= now || claims.nbf > now + 60) return undefined;
    const audiences = wantedAudiences.filter((audience) => claims.aud.includes(audience));
    if (audiences.length === 0 || !this.#bindingsHold(claims)) return undefined;
    return { user: userOf(claims), audiences };
  }

  jwks(): UntypedKeySet {
    return { keys: [{ use: "sig", alg: "ES256", kid: this.#keyId, ...this.#public.export({ format: "jwk" }) }] };
  }

  #claimsOf(token: string): Claims | undefined {
    const known = this.#checked.get(token);
    if (known !== undefined) return known;
    const [head = "", body = "", signature = "", ...rest] = token.split(".");
    if (signature === "" || rest.length > 0) return undefined;
    const key = { key: this.#public, dsaEncoding: "ieee-p1363" as const };
    let claims: Claims;
    try {
      if ((decode(head) as { alg?: string }).alg !== "ES256") return undefined;
      if (!verify("sha256", Buffer.from(`${head}.${body}`), key, Buffer.from(signature, "base64url"))) return undefined;
      claims = decode(body) as Claims;
    } catch {
      return undefined;
    }
    this.#checked.set(token, claims);
    return claims;
  }

  #bindingsHold(claims: Claims): boolean {
    const { namespace, serviceaccount, pod, secret, node } = claims["kubernetes.io"];
    const oldestDeletionMs = this.#clock.nowMs() - deletedLeewayMs;
    const holds = (collection: string, name: string, uid: string, inNamespace = namespace): boolean => {
      const found: { uid: string; object: UntypedObject } | undefined = this.#store.get(collection, inNamespace, name);
      if (found?.uid !== uid) return false;
      const { deletionTimestamp } = found.object.metadata;
      return deletionTimestamp === undefined || Date.parse(deletionTimestamp) >= oldestDeletionMs;
    };
    if (!holds("/serviceaccounts", serviceaccount.name, serviceaccount.uid)) return false;
    // A pod's token is bound to the pod alone. The node in it is only information.
    if (pod !== undefined) return holds("/pods", pod.name, pod.uid);
    if (node !== undefined && !holds("/nodes", node.name, node.uid ?? "", "")) return false;
    return secret === undefined || holds("/secrets", secret.name, secret.uid);
  }
}

export interface UntypedKeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

function userOf(claims: Claims): User {
  const { namespace, serviceaccount, pod, node } = claims["kubernetes.io"];
  const extra: Record<string, readonly string[]> = {
    "authentication.kubernetes.io/credential-id": [`JTI=${claims.jti}`],
  };
  if (node !== undefined) {
    extra["authentication.kubernetes.io/node-name"] = [node.name];
    if (node.uid !== undefined) extra["authentication.kubernetes.io/node-uid"] = [node.uid];
  }
  if (pod !== undefined) {
    extra["authentication.kubernetes.io/pod-name"] = [pod.name];
    extra["authentication.kubernetes.io/pod-uid"] = [pod.uid];
  }
  return {
    name: claims.sub,
    uid: serviceaccount.uid,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
    extra,
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decode(part: string): unknown {
  return JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
}
