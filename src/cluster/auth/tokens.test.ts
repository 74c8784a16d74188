import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { Store } from "../store/index.ts";
import { ServiceAccountTokens, type TokenRequest } from "./tokens.ts";

test("a token becomes invalid a minute after the deletion of the object that it is bound to, even while a finalizer keeps the object", () => {
  const clock = new HandClock();
  const records = new Map<string, { uid: string; object: { metadata: { deletionTimestamp?: string } } }>();
  const put = (collection: string, name: string): void =>
    void records.set(`${collection} shop ${name}`, { uid: name, object: { metadata: {} } });
  const store = {
    get: (collection: string, namespace: string, name: string) => records.get(`${collection} ${namespace} ${name}`),
  } as unknown as Store;
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tokens = new ServiceAccountTokens(privateKey.export({ type: "pkcs8", format: "pem" }).toString(), store, clock);
  for (const [collection, name] of [
    ["/serviceaccounts", "robot"],
    ["/pods", "web"],
  ] as const) {
    put("/serviceaccounts", "robot");
    put("/pods", "web");
    const { token } = tokens.issue({
      namespace: "shop",
      serviceAccount: "robot",
      serviceAccountUid: "robot",
      audiences: [],
      expirationSeconds: 3_600,
      bound: { kind: "Pod", name: "web", uid: "web" },
    });
    const record = records.get(`${collection} shop ${name}`);
    assert.ok(record !== undefined);
    record.object.metadata.deletionTimestamp = new Date(clock.nowMs()).toISOString();
    clock.pass(60_000);
    assert.notEqual(tokens.verify(token), undefined, collection);
    clock.pass(1_000);
    assert.equal(tokens.verify(token), undefined, collection);
  }
});

const request: TokenRequest = {
  namespace: "shop",
  serviceAccount: "robot",
  serviceAccountUid: "robot",
  audiences: [],
  expirationSeconds: 3_600,
};
const newKey = (): string =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();

interface Issuer {
  readonly clock: HandClock;
  readonly tokens: ServiceAccountTokens;
  /** The uids of the existing objects by collection, namespace and name. */
  readonly uids: Map<string, string>;
}

/** An issuer in a cluster with the account `robot`, a pod and a Secret in `shop`, and a node. */
function issuer(key = newKey()): Issuer {
  const uids = new Map([
    ["/serviceaccounts shop robot", "robot"],
    ["/pods shop web", "web"],
    ["/secrets shop token", "token"],
    ["/nodes  worker", "worker"],
  ]);
  const store = {
    get: (collection: string, namespace: string, name: string) => {
      const uid = uids.get(`${collection} ${namespace} ${name}`);
      return uid === undefined ? undefined : { uid, object: { metadata: {} } };
    },
  } as unknown as Store;
  const clock = new HandClock();
  return { clock, tokens: new ServiceAccountTokens(key, store, clock), uids };
}

/** The token with other claims or another head, and with the original signature. */
function changed(token: string, part: 0 | 1, change: (value: Record<string, unknown>) => object): string {
  const parts = token.split(".");
  const value = JSON.parse(Buffer.from(parts[part] ?? "", "base64url").toString()) as Record<string, unknown>;
  parts[part] = Buffer.from(JSON.stringify(change(value))).toString("base64url");
  return parts.join(".");
}

test("a token is its account's, with the account's groups, and names its pod and the pod's node", () => {
  const { tokens } = issuer();
  const bound = { kind: "Pod", name: "web", uid: "web" } as const;
  const { token, expiresAtMs } = tokens.issue({ ...request, bound, node: { name: "worker", uid: "worker" } });
  const { user, audiences } = tokens.verify(token) ?? assert.fail("it is not valid");
  assert.equal(user.name, "system:serviceaccount:shop:robot");
  assert.deepEqual(user.groups, ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]);
  const { "authentication.kubernetes.io/credential-id": id, ...extra } = user.extra ?? {};
  assert.match(id?.[0] ?? "", /^JTI=[0-9a-f-]{36}$/);
  assert.deepEqual(extra, {
    "authentication.kubernetes.io/node-name": ["worker"],
    "authentication.kubernetes.io/node-uid": ["worker"],
    "authentication.kubernetes.io/pod-name": ["web"],
    "authentication.kubernetes.io/pod-uid": ["web"],
  });
  assert.deepEqual([audiences, expiresAtMs], [["https://kubernetes.default.svc.cluster.local"], 3_600_000]);
});

test("a token with other claims, another algorithm, another key, or other parts is invalid", () => {
  const { tokens } = issuer();
  const { token } = tokens.issue(request);
  assert.notEqual(tokens.verify(token), undefined);
  const [head = "", body = "", signature = ""] = token.split(".");
  const forged = {
    "another user": changed(token, 1, (claims) => ({ ...claims, sub: "system:serviceaccount:kube-system:admin" })),
    "no algorithm": changed(token, 0, (given) => ({ ...given, alg: "none" })),
    "a symmetric algorithm": changed(token, 0, (given) => ({ ...given, alg: "HS256" })),
    "no signature": `${head}.${body}.`,
    "a fourth part": `${token}.${signature}`,
    "another key": issuer().tokens.issue(request).token,
    "no JSON": `${head}.bm90IEpTT04.${signature}`,
    "no token": "robot",
    nothing: "",
  };
  for (const [what, text] of Object.entries(forged)) assert.equal(tokens.verify(text), undefined, what);
});

test("a token is valid from its issue (a minute earlier for clocks that differ) until it expires, even if it was checked before", () => {
  const key = newKey();
  const { tokens, clock } = issuer(key);
  clock.pass(1_000_000);
  const { token } = tokens.issue({ ...request, expirationSeconds: 600 });
  assert.notEqual(tokens.verify(token), undefined);
  clock.pass(599_999);
  assert.notEqual(tokens.verify(token), undefined);
  clock.pass(1);
  assert.equal(tokens.verify(token), undefined);
  const slow = issuer(key);
  slow.clock.pass(939_999);
  assert.equal(slow.tokens.verify(token), undefined);
  slow.clock.pass(1);
  assert.notEqual(slow.tokens.verify(token), undefined);
});

test("a token is for its audiences alone, and one without audiences is for the API server", () => {
  const { tokens } = issuer();
  const { token } = tokens.issue({ ...request, audiences: ["istio-ca", "vault"] });
  assert.equal(tokens.verify(token), undefined);
  assert.equal(tokens.verify(token, ["other"]), undefined);
  assert.deepEqual(tokens.verify(token, ["vault", "other"])?.audiences, ["vault"]);
  assert.notEqual(tokens.verify(tokens.issue({ ...request, audiences: ["kubernetes.default.svc"] }).token), undefined);
});

test("a token becomes invalid with its account or the object that it is bound to, even if another one has the same name now", () => {
  const bounds = {
    "/serviceaccounts shop robot": undefined,
    "/pods shop web": { kind: "Pod", name: "web", uid: "web" },
    "/secrets shop token": { kind: "Secret", name: "token", uid: "token" },
    "/nodes  worker": { kind: "Node", name: "worker", uid: "worker" },
  } as const;
  for (const [place, bound] of Object.entries(bounds)) {
    const { tokens, uids } = issuer();
    const { token } = tokens.issue({ ...request, ...(bound === undefined ? {} : { bound }) });
    assert.notEqual(tokens.verify(token), undefined, place);
    uids.set(place, "another");
    assert.equal(tokens.verify(token), undefined, place);
    uids.delete(place);
    assert.equal(tokens.verify(token), undefined, place);
  }
});

test("a pod's token outlives its node's object, because the node is only information about the pod", () => {
  const { tokens, uids } = issuer();
  const bound = { kind: "Pod", name: "web", uid: "web" } as const;
  const { token } = tokens.issue({ ...request, bound, node: { name: "worker", uid: "worker" } });
  uids.delete("/nodes  worker");
  assert.notEqual(tokens.verify(token), undefined);
});

test("others can check a token by the key set, whose key the token names", () => {
  const { tokens } = issuer();
  const { token } = tokens.issue(request);
  const [key = {}] = tokens.jwks().keys;
  const [head = "", body = "", signature = ""] = token.split(".");
  assert.equal((JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string }).kid, key["kid"]);
  assert.equal("d" in key, false, "it has no private part");
  const publicKey = createPublicKey({ key, format: "jwk" });
  const signed = Buffer.from(`${head}.${body}`);
  const given = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
  assert.ok(verify("sha256", signed, given, Buffer.from(signature, "base64url")));
});
