import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { authorAnnotation, ownUidAnnotation } from "../../api/serin/index.ts";
import type { RequestUser } from "../../api/admission-review/index.ts";
import { planText, readAuthor } from "./author-record.ts";
import { reviewAuthor } from "./author-review.ts";

const key = Buffer.alloc(32, 7);

interface Rollout {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly generateName?: string;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: Record<string, unknown>;
}

function canary(spec: Record<string, unknown> = {}, author?: string): Rollout {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: {
      name: "web",
      namespace: "shop",
      ...(author === undefined ? {} : { annotations: { [authorAnnotation]: author } }),
    },
    spec: { steps: [{ weight: 10 }], ...spec },
  };
}

interface Stored {
  readonly annotations: Readonly<Record<string, string | undefined>>;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/** The annotations and the spec that the API server would store, and the warnings that the client would see. */
function reviewed(operation: string, user: string | RequestUser, object: Rollout, oldObject?: Rollout): Stored {
  const userInfo = typeof user === "string" ? { username: user, groups: ["g"] } : user;
  const { response } = reviewAuthor({ request: { uid: "1", operation, userInfo, object, oldObject } }, key);
  assert.ok(response.allowed);
  const patch = JSON.parse(Buffer.from(response.patch ?? "W10=", "base64").toString()) as {
    op: string;
    path: string;
    value?: unknown;
  }[];
  const annotations: Record<string, string | undefined> = { ...object.metadata.annotations };
  const spec = { ...object.spec };
  for (const { op, path, value } of patch) {
    const [, name] = /^\/metadata\/annotations\/(.+)$/.exec(path) ?? [];
    if (name !== undefined) annotations[name.replace("~1", "/")] = op === "remove" ? undefined : String(value);
    const [, field] = /^\/spec\/(\w+)$/.exec(path) ?? [];
    if (field !== undefined) spec[field] = op === "remove" ? undefined : value;
  }
  return { annotations, spec, warnings: response.warnings ?? [] };
}

function stored(...review: Parameters<typeof reviewed>): string | undefined {
  return reviewed(...review).annotations[authorAnnotation];
}

function authorOf(object: Rollout, annotation: string | undefined): string | undefined {
  return readAuthor(key, planText(object), annotation)?.user;
}

test("the creator of a rollout is its author, until somebody changes its behaviour", () => {
  const made = stored("CREATE", "alice", canary());
  assert.equal(authorOf(canary(), made), "alice");
  const old = canary({}, made);
  // Orders and metadata do not change the author, whoever writes them, and even if a client drops the annotation.
  for (const object of [
    canary({ paused: true }, made),
    canary({ approvals: [{ step: "1", by: "bob" }] }, made),
    canary(),
  ])
    assert.equal(authorOf(canary(), stored("UPDATE", "bob", object, old)), "alice");
  const changed = canary({ steps: [{ weight: 50 }] }, made);
  assert.equal(authorOf(changed, stored("UPDATE", "bob", changed, old)), "bob");
  // An order does not make its writer the author of a rollout without an author.
  assert.equal(stored("UPDATE", "bob", canary({ paused: true }), canary()), undefined);
  // Writing an empty annotation makes the writer the author.
  assert.equal(authorOf(canary(), stored("UPDATE", "carol", canary({}, ""), old)), "carol");
});

/** An account as the API server describes it, with a token that is replaced every hour. */
function account(namespace: string, name: string, token = "1"): RequestUser {
  return {
    username: `system:serviceaccount:${namespace}:${name}`,
    uid: `uid-${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
    extra: { "authentication.kubernetes.io/credential-id": [`JTI=${token}`] },
  };
}

test("the account of a GitOps controller becomes the author like a user, by its first sync and by each sync that changes the spec", () => {
  const controller = account("argocd", "application-controller");
  const made = stored("CREATE", controller, canary());
  const { username, ...rest } = controller;
  assert.deepEqual(readAuthor(key, planText(canary()), made), { user: username, ...rest });
  // A server-side apply of the object in Git. The annotation belongs to another field manager and stays. The controller
  // has a new token.
  const again = account("argocd", "application-controller", "2");
  assert.equal(stored("UPDATE", again, canary({}, made), canary({}, made)), made);
  // Another controller that applies the same object, or replaces it, does not become the author either.
  assert.equal(stored("UPDATE", account("flux", "apply"), canary({}, made), canary({}, made)), made);
  assert.equal(stored("UPDATE", account("flux", "apply"), canary(), canary({}, made)), made);
  // Somebody's change and its repair by the controller each have their author.
  const edited = canary({ steps: [{ weight: 50 }] }, made);
  const byHand = stored("UPDATE", "bob", edited, canary({}, made));
  assert.equal(authorOf(edited, byHand), "bob");
  const repaired = stored("UPDATE", again, canary({}, byHand), canary({ steps: [{ weight: 50 }] }, byHand));
  assert.equal(authorOf(canary(), repaired), username);
  // A manifest that was exported with the annotation makes the account that creates it the author, and later syncs by
  // this account keep the recorded author.
  const flux = account("flux", "apply");
  const synced = stored("CREATE", flux, canary({}, made));
  assert.equal(authorOf(canary(), synced), flux.username);
  const resynced = reviewed("UPDATE", flux, canary({}, made), canary({}, byHand));
  assert.equal(resynced.annotations[authorAnnotation], byHand);
  assert.match(resynced.warnings.join("\n"), /counts for nothing: leave it out/);
});

test("a rollout that is created with the record or the orders of others is a copy, whose creator is its author", () => {
  const made = stored("CREATE", "alice", canary());
  const velero = account("velero", "velero");
  const restored = reviewed("CREATE", velero, canary({}, made));
  assert.equal(authorOf(canary(), restored.annotations[authorAnnotation]), velero.username);
  assert.equal(restored.annotations[ownUidAnnotation], "unknown");
  assert.match(
    restored.warnings.join("\n"),
    /^metadata\.annotations\[rollout\.serin\.dev\/author\]: .* counts for nothing: system:serviceaccount:velero:velero is the author of this one, which waits/,
  );
  // The engine has noted the object's uid already.
  const known = canary({}, made);
  const backup = { ...known, metadata: { ...known.metadata, annotations: { [ownUidAnnotation]: "u1" } } };
  assert.equal(reviewed("CREATE", velero, backup).annotations[ownUidAnnotation], "u1");
  for (const order of [
    { approvals: [{ step: "1", by: "alice" }] },
    { fullPromotion: { by: "alice" } },
    { orderedBy: { by: "alice" } },
  ])
    assert.equal(reviewed("CREATE", "bob", canary(order)).annotations[ownUidAnnotation], "unknown");
  assert.equal(
    reviewed("CREATE", "bob", canary({ approvals: [{ step: "1", by: "bob" }] })).annotations[ownUidAnnotation],
    undefined,
  );
  assert.equal(reviewed("CREATE", "bob", canary()).annotations[ownUidAnnotation], undefined);
});

test("the orders of others are removed from a new rollout with a warning, and the creator's own stay", () => {
  const [hers, his] = ["alice", "bob"].map((by) => ({ step: "1", by, why: "", at: "2026-01-01T00:00:00Z" }));
  const order = { by: "alice", why: "", at: "2026-01-01T00:00:00Z" };
  const orders = { approvals: [hers, his, { ...hers, step: "2" }], fullPromotion: order, orderedBy: order };
  const { spec, annotations, warnings } = reviewed("CREATE", "bob", canary({ ...orders, paused: true }));
  assert.deepEqual(
    [spec["approvals"], spec["fullPromotion"], spec["orderedBy"], spec["paused"]],
    [[his], undefined, undefined, true],
  );
  assert.equal(authorOf(canary(), annotations[authorAnnotation]), "bob");
  assert.deepEqual(
    warnings,
    ["approvals[0]", "approvals[2]", "fullPromotion", "orderedBy"].map(
      (field) => `spec.${field}.by: is removed, because alice gave the order to another object`,
    ),
  );
  // A copy that already has the mark of a copy.
  const { metadata, ...rest } = canary(orders);
  const marked = { ...rest, metadata: { ...metadata, annotations: { [ownUidAnnotation]: "u1" } } };
  assert.deepEqual(reviewed("CREATE", "bob", marked).spec["approvals"], [his]);
  // In a later write, the orders were given to this object, or the next webhook refuses them.
  assert.deepEqual(reviewed("UPDATE", "bob", canary(orders), canary(orders)).spec, canary(orders).spec);
});

function copy(author: string, status: object): Rollout & { readonly status: object } {
  const { metadata, ...rest } = canary({}, author);
  const annotations = { ...metadata.annotations, [ownUidAnnotation]: "u1" };
  return { ...rest, metadata: { ...metadata, annotations }, status };
}

test("only the user who takes a copy over removes its mark, and others who drop or change it do not", () => {
  const made = stored("CREATE", "velero", canary()) ?? "";
  const noted = { phase: "Paused", pauseReason: "restored" };
  for (const status of [{}, noted])
    for (const object of [
      canary({}, made),
      canary(),
      canary({ steps: [{ weight: 50 }] }),
      { ...canary(), metadata: { ...canary().metadata, annotations: { [ownUidAnnotation]: "u2" } } },
    ])
      assert.equal(reviewed("UPDATE", "carol", object, copy(made, status)).annotations[ownUidAnnotation], "u1");
  // The engine notes the uid of an object that has no mark.
  const prepared = copy(made, {});
  assert.equal(reviewed("UPDATE", "engine", prepared, canary({}, made)).annotations[ownUidAnnotation], "u1");
  // The API server may call the webhook a second time in the request that takes the copy over. The user may be the
  // author or another one.
  for (const user of ["carol", "velero"]) {
    const once = reviewed("UPDATE", user, copy("", noted), copy(made, noted)).annotations;
    const again = reviewed("UPDATE", user, canary({}, once[authorAnnotation]), copy(made, noted)).annotations;
    assert.equal(authorOf(canary(), again[authorAnnotation]), user);
    assert.equal(again[ownUidAnnotation], undefined);
  }
});

test("the user who takes a copy over removes its mark, but not before the engine has noted its orders", () => {
  const made = stored("CREATE", "velero", canary()) ?? "";
  const noted = { phase: "Paused", pauseReason: "restored" };
  const taken = reviewed("UPDATE", "carol", copy("", noted), copy(made, noted));
  assert.equal(authorOf(canary(), taken.annotations[authorAnnotation]), "carol");
  assert.equal(taken.annotations[ownUidAnnotation], undefined);
  const tooEarly = reviewed("UPDATE", "carol", copy("", {}), copy(made, {}));
  assert.equal(tooEarly.annotations[ownUidAnnotation], "u1");
  // Others who write it keep the mark.
  assert.equal(reviewed("UPDATE", "carol", copy(made, noted), copy(made, noted)).annotations[ownUidAnnotation], "u1");
});

test("an author that a client names counts for nothing, and an author is bound to one spec of one object", () => {
  const made = stored("CREATE", "root", canary());
  assert.equal(authorOf(canary(), stored("CREATE", "mallory", canary({}, made))), "mallory");
  assert.equal(stored("UPDATE", "mallory", canary({}, "me"), canary()), undefined);
  assert.equal(stored("UPDATE", "mallory", canary({}, made), canary()), undefined);
  assert.equal(stored("UPDATE", "mallory", canary({}, "me"), canary({}, made)), made);
  const changed = canary({ steps: [] }, "me");
  assert.equal(authorOf(changed, stored("UPDATE", "mallory", changed, canary({}, made))), "mallory");
  assert.equal(authorOf(canary({ steps: [{ weight: 100 }] }), made), undefined);
  const other = { ...canary(), metadata: { name: "web", namespace: "other" } };
  assert.equal(authorOf(other, made), undefined);
  assert.equal(readAuthor(Buffer.alloc(32, 8), planText(canary()), made), undefined);
  const forged = JSON.stringify({ ...(JSON.parse(made ?? "") as object), user: "mallory" });
  assert.equal(authorOf(canary(), forged), undefined);
  // If the webhook is called a second time in the same request, it accepts its own value.
  assert.equal(authorOf(canary(), stored("CREATE", "root", canary({}, made))), "root");
});

test("a recorded author that is written again has no more rights than the writer", () => {
  const made = stored("CREATE", "alice", canary());
  // Alice's groups have changed since she became the author.
  const again = stored("UPDATE", "alice", canary({}, made?.replace('"g"', '"admins"')), canary());
  assert.equal(again, undefined);
  const moved = stored("UPDATE", "alice", canary({}, made), canary({ steps: [{ weight: 50 }] }, "x"));
  assert.deepEqual(readAuthor(key, planText(canary()), moved)?.groups, ["g"]);
});

test("changes of the API server between review and storage keep the author", () => {
  const { metadata, ...rest } = canary();
  const submitted = { ...rest, metadata: { namespace: metadata.namespace, name: "", generateName: "web-" } };
  const made = stored("CREATE", "alice", submitted);
  const kept = {
    ...rest,
    metadata: { ...submitted.metadata, name: "web-x7", generation: 3, managedFields: [{}], finalizers: ["f"] },
    status: { phase: "Watching" },
  };
  assert.equal(authorOf(kept, made), "alice");
  assert.equal(authorOf({ ...kept, spec: { paused: false, more: null, ...kept.spec } }, made), "alice");
});

test("the schemas of rollouts have no defaults, because they would change the signed spec", () => {
  const manifest = readFileSync(join(import.meta.dirname, "../../../manifests/crds/rollout.yaml"), "utf8");
  assert.match(manifest, /"kind":"Canary"/);
  assert.doesNotMatch(manifest, /"default":/);
});
