import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { authorAnnotation } from "../../api/serin/index.ts";
import { planText, readAuthor, type RequestUser } from "./author-record.ts";
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

/** The annotation that the API server would store, or "refused" if it would refuse the write. */
function stored(
  operation: string,
  user: string | RequestUser,
  object: Rollout,
  oldObject?: Rollout,
): string | undefined {
  const userInfo = typeof user === "string" ? { username: user, groups: ["g"] } : user;
  const { response } = reviewAuthor({ request: { uid: "1", operation, userInfo, object, oldObject } }, key) as {
    response: { allowed: boolean; patch?: string };
  };
  if (!response.allowed) return "refused";
  const patch = JSON.parse(Buffer.from(response.patch ?? "W10=", "base64").toString()) as {
    op: string;
    path: string;
    value?: unknown;
  }[];
  const last = patch.at(-1);
  if (last === undefined) return object.metadata.annotations?.[authorAnnotation];
  assert.equal(last.path, "/metadata/annotations/rollout.serin.dev~1author");
  return last.op === "remove" ? undefined : String(last.value);
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
  // A server-side apply of the object in Git. The annotation belongs to another field manager and stays. The
  // controller's token is a new one.
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
  // A manifest that was exported with the annotation is refused, unless its own author applies it.
  assert.equal(stored("CREATE", account("flux", "apply"), canary({}, made)), "refused");
});

test("a client that names an author itself is refused, and an author is bound to one spec of one object", () => {
  const made = stored("CREATE", "root", canary());
  assert.equal(stored("CREATE", "mallory", canary({}, made)), "refused");
  assert.equal(stored("UPDATE", "mallory", canary({}, "me"), canary()), "refused");
  assert.equal(stored("UPDATE", "mallory", canary({}, made), canary()), "refused");
  assert.equal(stored("UPDATE", "mallory", canary({ steps: [] }, "me"), canary({}, made)), "refused");
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
  // Alice's groups have changed since.
  const again = stored("UPDATE", "alice", canary({}, made?.replace('"g"', '"admins"')), canary());
  assert.equal(again, "refused");
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
  assert.match(manifest, /kind: Canary/);
  assert.doesNotMatch(manifest, /^\s*default:/m);
});
