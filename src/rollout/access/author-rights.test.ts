import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { authorAnnotation, type Canary } from "../../api/serin/index.ts";
import type { KubeClient, RawOptions } from "../../kube/index.ts";
import type { Step, Write } from "../decide/index.ts";
import { describeQuestion, questionsOfCanary } from "./access-questions.ts";
import { AccessReviews } from "./access-reviews.ts";
import type { AuthorKey } from "./author-key.ts";
import { planText, signAuthor } from "./author-record.ts";
import { AuthorRights } from "./author-rights.ts";

const key = Buffer.alloc(32, 7);
const spec = { steps: [{ weight: 10 }] };

function rolloutOf(user: string | undefined, shown: unknown = spec): UntypedObject {
  const plain = { apiVersion: "x/v1", kind: "Canary", metadata: { name: "web", namespace: "shop" } };
  const annotation =
    user === undefined
      ? undefined
      : signAuthor(key, planText({ ...plain, spec }), { user, groups: ["team"], extra: {} });
  return {
    ...plain,
    metadata: {
      ...plain.metadata,
      ...(annotation === undefined ? {} : { annotations: { [authorAnnotation]: annotation } }),
    },
    spec: shown,
  };
}

/** An API server that allows these rights, each written as `user verb resource namespace`. */
function rights(allowed: readonly string[]) {
  const questions: string[] = [];
  const client = {
    raw: (_method: string, _path: string, options?: RawOptions) => {
      const review = (options ?? {}).body as {
        spec: { user: string; groups: string[]; resourceAttributes: Record<string, string | undefined> };
      };
      const { user, groups, resourceAttributes: wanted } = review.spec;
      assert.deepEqual(groups, ["team"]);
      const target = [wanted["resource"], wanted["subresource"]].filter((part) => part !== undefined).join("/");
      const question = `${user} ${wanted["verb"]} ${target} ${wanted["namespace"] ?? ""}${wanted["name"] === undefined ? "" : `/${wanted["name"]}`}`;
      questions.push(question);
      return Promise.resolve({
        status: 201,
        headers: {},
        text: JSON.stringify({ status: { allowed: allowed.includes(question) } }),
      });
    },
  } as unknown as KubeClient;
  const reviews = new AccessReviews(client, systemClock);
  return { questions, rights: new AuthorRights({ get: () => Promise.resolve(key) } as unknown as AuthorKey, reviews) };
}

const route = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  plural: "httproutes",
  namespace: "other",
  name: "web",
};
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  plural: "deployments",
  namespace: "shop",
  name: "web-canary",
};
const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", plural: "clusterroles", name: "r" };
const writes: readonly Write[] = [
  { type: "field", object: route, pointer: "/spec/rules/0", value: {} },
  {
    type: "create",
    object: deployment,
    body: { apiVersion: "apps/v1", kind: "Deployment", metadata: {} },
  },
  { type: "delete", object: deployment },
  { type: "create", object: role, body: { apiVersion: "x", kind: "ClusterRole", metadata: {} } },
];
const steps = [{ id: "1", writes, checks: [] }] as unknown as readonly Step[];
const all = [
  "alice patch httproutes other",
  "alice create deployments shop",
  "alice create pods shop",
  "alice delete deployments shop",
  "alice create clusterroles ",
  "alice escalate clusterroles ",
];

test("the engine does only what the author of a rollout could do, in every namespace", async () => {
  assert.equal(await rights(all).rights.refusal(rolloutOf("alice"), steps), undefined);
  for (const missing of all) {
    const { rights: some } = rights(all.filter((one) => one !== missing));
    const [, verb = "", resource = ""] = missing.split(" ");
    assert.match(
      (await some.refusal(rolloutOf("alice"), steps))?.problem ?? "",
      new RegExp(`^its author alice may not: ${verb} ${resource}`),
      missing,
    );
  }
  const named = [...all.slice(1), "alice patch httproutes other/web"];
  assert.equal(await rights(named).rights.refusal(rolloutOf("alice"), steps), undefined, "a right for one name");
});

test("a rollout without a recorded author waits for one, and so does one with a changed spec", async () => {
  const { rights: every, questions } = rights(all);
  const unknown = await every.refusal(rolloutOf(undefined), steps);
  assert.equal(unknown?.problem, "it has no recorded author");
  assert.match(
    unknown.remedy,
    /`kubectl annotate canary\.rollout\.serin\.dev -n shop web rollout\.serin\.dev\/author= --overwrite`/,
  );
  assert.match(
    (await every.refusal(rolloutOf("alice", { steps: [{ weight: 100 }] }), steps))?.problem ?? "",
    /^its spec is not what its recorded author wrote/,
  );
  assert.deepEqual(questions, []);
  assert.equal(await every.refusal(rolloutOf(undefined), []), undefined, "nothing to do asks nobody");
  const changed = rolloutOf("alice", { ...spec, paused: true });
  assert.equal(await every.refusal(changed, steps), undefined, "orders are anybody's");
});

test("the reviews of a service account contain its groups, uid and extra fields, which roles and other authorizers use", async () => {
  const author = {
    user: "system:serviceaccount:argocd:controller",
    uid: "u7",
    groups: ["system:serviceaccounts", "system:serviceaccounts:argocd", "system:authenticated"],
    extra: { "authentication.kubernetes.io/pod-name": ["controller-0"] },
  };
  const plain = { apiVersion: "x/v1", kind: "Canary", metadata: { name: "web", namespace: "shop" }, spec };
  const annotations = { [authorAnnotation]: signAuthor(key, planText(plain), author) };
  const reviewed: { resourceAttributes?: unknown }[] = [];
  const client = {
    raw: (_method: string, _path: string, options?: RawOptions) => {
      reviewed.push(((options ?? {}).body as { spec: object }).spec);
      return Promise.resolve({ status: 201, headers: {}, text: JSON.stringify({ status: { allowed: true } }) });
    },
  } as unknown as KubeClient;
  const authorKey = { get: () => Promise.resolve(key) } as unknown as AuthorKey;
  const everything = new AuthorRights(authorKey, new AccessReviews(client, systemClock));
  assert.equal(await everything.refusal({ ...plain, metadata: { ...plain.metadata, annotations } }, steps), undefined);
  assert.equal(reviewed.length, all.length);
  for (const { resourceAttributes, ...reviewer } of reviewed) {
    assert.ok(resourceAttributes);
    assert.deepEqual(reviewer, author);
  }
});

test("a rollout reaches others only where its recorded author may create rollouts", async () => {
  const { rights: some } = rights(["alice create canaries other"]);
  assert.equal(await some.mayCreate(rolloutOf("alice"), "Canary", "other"), true);
  assert.equal(await some.mayCreate(rolloutOf("alice"), "Canary", "third"), false);
  assert.equal(await some.mayCreate(rolloutOf("alice"), "MeshUpgrade", undefined), false);
  assert.equal(await some.mayCreate(rolloutOf(undefined), "Canary", "other"), false);
  assert.equal(await some.mayCreate(rolloutOf("alice", { steps: [] }), "Canary", "other"), false, "a changed spec");
});

test("a recent access review is not repeated", async () => {
  const { rights: every, questions } = rights(all);
  for (let round = 0; round < 20; round += 1) await every.refusal(rolloutOf("alice"), steps);
  assert.equal(questions.length, all.length);
});

test("a Canary shows its author only those facts about other namespaces' Services that the author may read", async () => {
  const spec = {
    target: {
      httpRoute: {
        name: "web",
        namespace: "other",
        rule: 0,
        stable: { name: "web", port: 80 },
        canary: { name: "web", namespace: "secret", port: 80 },
      },
    },
    checks: [],
    steps: [{ weight: 10, checks: [{ type: "approval" }] }],
  };
  const plain = { apiVersion: "x/v1", kind: "Canary", metadata: { name: "web", namespace: "shop" }, spec };
  const annotation = signAuthor(key, planText(plain), { user: "alice", groups: ["team"], extra: {} });
  const canary = { ...plain, metadata: { ...plain.metadata, annotations: { [authorAnnotation]: annotation } } };
  const reads = ["alice get services other/web", "alice get services secret"];
  assert.equal(await rights([...all, ...reads]).rights.refusal(canary, steps), undefined);
  assert.match(
    (await rights([...all, ...reads.slice(0, 1)]).rights.refusal(canary, steps))?.problem ?? "",
    /^its author alice may not: get services secret\/web$/,
  );
  const targetOf = (target: object): string[] =>
    questionsOfCanary({ ...canary, spec: { ...spec, target } } as unknown as Canary)
      .filter(({ verb }) => verb === "get")
      .map(describeQuestion);
  const destinations = { stable: { host: "web" }, canary: { host: "next.far.svc.cluster.local" } };
  assert.deepEqual(targetOf({ virtualService: { name: "web", ...destinations } }), [
    "get services shop/web",
    "get services far/next",
  ]);
  assert.deepEqual(
    targetOf({ virtualService: { name: "web", stable: { host: "a.example.com" }, canary: { host: "b.example.com" } } }),
    [],
  );
  assert.deepEqual(targetOf({ namespaces: { stable: "a", canary: "b", routes: [] } }), [
    "get services in namespace a",
    "get services in namespace b",
  ]);
});

test("checks show a Canary's author only those facts about pods, logs and other namespaces' Checks that the author may read", async () => {
  const subject = {
    type: "backends",
    canary: { namespace: "secret", service: "web" },
    stable: { namespace: "shop", service: "web" },
  };
  const checked = (type: string, writing: readonly Write[] = []): readonly Step[] =>
    [{ id: "1", writes: writing, checks: [{ spec: { type }, subject }] }] as unknown as readonly Step[];
  const refusalOf = async (allowed: readonly string[], open: readonly Step[]): Promise<string | undefined> =>
    (await rights(allowed).rights.refusal(rolloutOf("alice"), open))?.problem;
  assert.equal(
    await refusalOf(["alice get pods/log shop"], checked("error-log-rate")),
    "its author alice may not: get pods/log in namespace secret",
  );
  assert.equal(
    await refusalOf(["alice list pods secret"], checked("pod-health")),
    "its author alice may not: list pods in namespace shop",
  );
  assert.equal(await refusalOf([], checked("request-success-rate")), undefined);
  const mesh = [{ id: "1", writes: [], checks: [{ spec: { type: "error-log-rate" }, subject: { type: "mesh" } }] }];
  assert.equal(
    await refusalOf(["alice get pods/log shop"], mesh as unknown as readonly Step[]),
    "its author alice may not: get pods/log",
  );
  const canary = (checks: readonly object[]): Canary =>
    ({
      apiVersion: "x/v1",
      kind: "Canary",
      metadata: { name: "web", namespace: "shop" },
      spec: {
        target: { virtualService: { name: "web", stable: { host: "web" }, canary: { host: "next.far.svc" } } },
        checks,
        steps: [{ weight: 10, checks: [{ type: "approval", ref: { name: "slow", namespace: "platform" } }] }],
      },
    }) as unknown as Canary;
  const neededRights = (checks: readonly object[]): string[] =>
    questionsOfCanary(canary(checks)).map(describeQuestion).slice(3);
  assert.deepEqual(neededRights([{ type: "approval", ref: { name: "own" } }]), [
    "get checks.rollout.serin.dev platform/slow",
  ]);
  assert.deepEqual(neededRights([{ type: "error-log-rate" }, { type: "restarts" }]), [
    "get checks.rollout.serin.dev platform/slow",
    "get pods/log in namespace shop",
    "get pods/log in namespace far",
    "list pods in namespace shop",
    "list pods in namespace far",
  ]);
});
