import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

// Nodes `a` and `b` have one pod each, in the namespace `shop`. The tests send requests with the stolen identity of
// node `a`.
const server = new ServerHarness();
const shop = "/api/v1/namespaces/shop";
const stolen = { "impersonate-user": "system:node:a", "impersonate-group": "system:nodes" };
const kinds = ["secrets", "configmaps", "persistentvolumeclaims"];
const uses = ["volume", "projection", "variable", "variables", "init", "debug"];

/**
 * A pod that refers to Secrets and ConfigMaps in every possible way, and to a claim. The names of these objects end
 * with the suffix.
 */
function podOn(nodeName: string, suffix: string): Json {
  const name = (use: string): string => `${use}-${suffix}`;
  const both = (use: string): Json => ({
    image: "x",
    envFrom: [{ secretRef: { name: name(use) } }, { configMapRef: { name: name(use) } }],
  });
  const env = ["secretKeyRef", "configMapKeyRef"].map((reference, index) => ({
    name: `V${index}`,
    valueFrom: { [reference]: { name: name("variable"), key: "k" } },
  }));
  return {
    metadata: { name: `on-${nodeName}` },
    spec: {
      nodeName,
      serviceAccountName: suffix,
      containers: [{ name: "main", ...both("variables"), env }],
      initContainers: [{ name: "init", ...both("init") }],
      volumes: [
        { name: "s", secret: { secretName: name("volume") } },
        { name: "c", configMap: { name: name("volume") } },
        { name: "d", persistentVolumeClaim: { claimName: name("volume") } },
        {
          name: "p",
          projected: {
            sources: [
              { secret: { name: name("projection") } },
              { configMap: { name: name("projection") } },
              { serviceAccountToken: { path: "token", audience: "mesh" } },
            ],
          },
        },
      ],
    },
  };
}

before(async () => {
  await server.start();
  for (const name of ["shop", "other"]) await server.call("POST", "/api/v1/namespaces", { metadata: { name } });
  for (const name of ["mine", "foreign", "idle"])
    await server.call("POST", `${shop}/serviceaccounts`, { metadata: { name } });
  for (const namespace of ["shop", "other"])
    for (const suffix of ["mine", "foreign"])
      for (const use of uses)
        for (const kind of kinds) {
          const spec =
            kind === "persistentvolumeclaims"
              ? { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Mi" } } } }
              : {};
          const made = await server.call("POST", `/api/v1/namespaces/${namespace}/${kind}`, {
            metadata: { name: `${use}-${suffix}` },
            ...spec,
          });
          assert.equal(made.status, 201, made.text);
        }
  for (const [node, suffix] of [
    ["a", "mine"],
    ["b", "foreign"],
  ] as const) {
    const made = await server.call("POST", `${shop}/pods`, podOn(node, suffix));
    assert.equal(made.status, 201, made.text);
    const debug = { name: "debug", image: "x", envFrom: [{ secretRef: { name: `debug-${suffix}` } }] };
    const added = await server.call(
      "PATCH",
      `${shop}/pods/on-${node}/ephemeralcontainers`,
      { spec: { ephemeralContainers: [debug] } },
      { contentType: "application/strategic-merge-patch+json" },
    );
    assert.equal(added.status, 200, added.text);
  }
});
after(async () => await server.remove());

async function asNode(method: string, path: string, body?: Json): Promise<Answer> {
  return await server.call(method, path, body, { headers: stolen });
}

async function statusOf(path: string): Promise<number> {
  return (await asNode("GET", path)).status;
}

test("a node reads what its own pods refer to, and nothing of other nodes or namespaces", async () => {
  for (const use of uses)
    for (const kind of kinds) {
      const refers = (kind !== "persistentvolumeclaims" || use === "volume") && (kind === "secrets" || use !== "debug");
      assert.equal(await statusOf(`${shop}/${kind}/${use}-mine`), refers ? 200 : 403, `${kind} ${use}`);
      assert.equal(await statusOf(`${shop}/${kind}/${use}-foreign`), 403, `${kind} ${use} of another node`);
      assert.equal(await statusOf(`/api/v1/namespaces/other/${kind}/${use}-mine`), 403, `${kind} ${use} elsewhere`);
    }
  const refused = await asNode("GET", `${shop}/secrets/volume-foreign`);
  assert.equal(
    refused.body.message,
    'secrets "volume-foreign" is forbidden: User "system:node:a" cannot get resource "secrets" in API group "" in the namespace "shop": no relationship found between node \'a\' and this object',
  );
});

test("a node lists and watches only single objects", async () => {
  const own = "fieldSelector=metadata.name%3Dvolume-mine";
  const list = await asNode("GET", `${shop}/secrets?${own}`);
  assert.deepEqual(
    list.body.items.map(({ metadata }: Json) => metadata.name),
    ["volume-mine"],
  );
  for (const path of [
    `${shop}/secrets`,
    "/api/v1/secrets",
    `/api/v1/secrets?${own}`,
    `${shop}/secrets?fieldSelector=metadata.name%3Dvolume-foreign`,
    `${shop}/secrets?fieldSelector=metadata.name!%3Dvolume-mine`,
    `${shop}/secrets?fieldSelector=type%3DOpaque`,
    `${shop}/secrets?fieldSelector=&${own}`,
    `${shop}/secrets?watch=true`,
    `/api/v1/watch/namespaces/shop/secrets`,
    `/api/v1/watch/namespaces/shop/secrets/volume-foreign`,
  ])
    assert.equal(await statusOf(path), 403, path);
  const both = `${own}%2Cmetadata.name%3Dvolume-foreign`;
  assert.deepEqual((await asNode("GET", `${shop}/secrets?${both}`)).body.items, []);
});

test("a node writes none of these objects, and a mirror pod of its own gives it no right", async () => {
  assert.equal((await asNode("DELETE", `${shop}/secrets/volume-mine`)).status, 403);
  assert.equal((await asNode("POST", `${shop}/configmaps`, { metadata: { name: "made" } })).status, 403);
  const mirror = podOn("a", "foreign");
  mirror.metadata = { name: "mirror", annotations: { "kubernetes.io/config.mirror": "x" } };
  assert.equal((await asNode("POST", `${shop}/pods`, mirror)).status, 403);
  // NodeRestriction refuses such a pod from a node, so an administrator creates it here. Even then, it gives the node
  // no right to the ConfigMap.
  const volumes = [{ name: "c", configMap: { name: "volume-foreign" } }];
  const spec = { nodeName: "a", containers: [{ name: "main", image: "i" }], volumes };
  const made = await server.call("POST", `${shop}/pods`, { ...mirror, spec });
  assert.equal(made.status, 201, made.text);
  assert.equal(await statusOf(`${shop}/configmaps/volume-foreign`), 403);
});

test("a node gets tokens only for accounts of its pods, and for audiences that these mount", async () => {
  const token = async (account: string, pod: string, audiences: readonly string[]): Promise<Answer> =>
    await asNode("POST", `${shop}/serviceaccounts/${account}/token`, {
      spec: { audiences, boundObjectRef: { kind: "Pod", apiVersion: "v1", name: pod } },
    });
  assert.equal((await token("mine", "on-a", ["mesh"])).status, 201);
  assert.equal((await token("mine", "on-a", [])).status, 201);
  for (const [account, pod, audiences, fault] of [
    ["foreign", "on-b", ["mesh"], /no relationship found between node 'a' and this object/],
    ["idle", "on-a", ["mesh"], /no relationship found between node 'a' and this object/],
    ["mine", "on-a", ["vault"], /audience "vault" not found in pod spec volume/],
    ["mine", "on-a", ["mesh", "vault"], /node may only request 0 or 1 audiences/],
  ] as const) {
    const { status, body } = await token(account, pod, audiences);
    assert.deepEqual([status, fault.test(body.message)], [403, true], body.message);
  }
});

test("a node reads no Leases but its own", async () => {
  const leases = "/apis/coordination.k8s.io/v1/namespaces";
  await server.call("POST", `${leases}/shop/leases`, { metadata: { name: "leader" } });
  await server.call("POST", `${leases}/kube-node-lease/leases`, { metadata: { name: "b" } });
  for (const path of ["shop/leases/leader", "kube-node-lease/leases/b", "kube-node-lease/leases"])
    assert.equal(await statusOf(`${leases}/${path}`), 403, path);
  assert.equal(await statusOf(`${leases}/kube-node-lease/leases/a`), 404);
});

test("reviews of a node's rights follow its pods too, and say that a list of its rules is incomplete", async () => {
  const review = async (name: string): Promise<boolean> => {
    const resourceAttributes = { verb: "get", resource: "secrets", namespace: "shop", name };
    const { body } = await server.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      spec: { user: "system:node:a", groups: ["system:nodes"], resourceAttributes },
    });
    return body.status.allowed;
  };
  assert.deepEqual([await review("volume-mine"), await review("volume-foreign")], [true, false]);
  const rules = await asNode("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {
    spec: { namespace: "shop" },
  });
  assert.equal(rules.body.status.incomplete, true);
  const granted = rules.body.status.resourceRules.filter(({ resources }: Json) => resources.includes("secrets"));
  assert.deepEqual(granted, []);
});
