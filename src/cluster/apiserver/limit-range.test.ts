import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

const server = new ServerHarness();
before(async () => void (await server.start()));
after(async () => await server.remove());

async function newNamespace(name: string, limits: Json[]): Promise<void> {
  await server.call("POST", "/api/v1/namespaces", { metadata: { name } });
  await server.call("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  const made = await server.call("POST", `/api/v1/namespaces/${name}/limitranges`, {
    metadata: { name: "limits" },
    spec: { limits },
  });
  assert.deepEqual([made.status, made.headers["warning"]], [201, undefined], made.text);
}

async function newPod(namespace: string, name: string, resources: Json, spec: Json = {}): Promise<Answer> {
  const containers = [{ name: "main", image: "x", resources }];
  return await server.call("POST", `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name },
    spec: { containers, ...spec },
  });
}

function refusal({ status, body }: Answer): [number, string] {
  return [status, body.message];
}

test("containers of a new pod get the defaults that they do not set, and an annotation of the pod lists them", async () => {
  const defaults = { default: { cpu: "500m", memory: "512Mi" }, defaultRequest: { cpu: "0.1" } };
  await newNamespace("defaults", [{ type: "Container", ...defaults }]);
  const initContainers = [{ name: "first", image: "x", resources: { limits: { cpu: "1", memory: "1Gi" } } }];
  const { body } = await newPod("defaults", "web", { limits: { memory: "1Gi" } }, { initContainers });
  assert.deepEqual(body.spec.containers[0].resources, {
    limits: { cpu: "500m", memory: "1Gi" },
    requests: { cpu: "100m", memory: "1Gi" },
  });
  assert.deepEqual(body.spec.initContainers[0].resources.requests, { cpu: "1", memory: "1Gi" });
  assert.equal(
    body.metadata.annotations["kubernetes.io/limit-ranger"],
    "LimitRanger plugin set: cpu request for container main; cpu limit for container main",
  );
  const full = { limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } };
  assert.equal((await newPod("defaults", "full", full)).body.metadata.annotations, undefined);
});

test("a container outside the limits is refused with the real server's messages", async () => {
  const range = { min: { cpu: "100m" }, max: { cpu: "1" }, maxLimitRequestRatio: { cpu: "2" } };
  await newNamespace("bounds", [{ type: "Container", ...range }]);
  const resources = (request: string, limit: string): object => ({
    requests: { cpu: request },
    limits: { cpu: limit },
  });
  const forbidden = 'pods "web" is forbidden:';
  assert.deepEqual(refusal(await newPod("bounds", "web", resources("1", "1500m"))), [
    403,
    `${forbidden} maximum cpu usage per Container is 1, but limit is 1500m`,
  ]);
  assert.deepEqual(refusal(await newPod("bounds", "web", resources("50m", "1"))), [
    403,
    `${forbidden} [minimum cpu usage per Container is 100m, but request is 50m, cpu max limit to request ratio per Container is 2, but provided ratio is 20.000000]`,
  ]);
  assert.equal((await newPod("bounds", "web", resources("500m", "1"))).status, 201);
});

test("a limit of type Pod counts all containers, and the largest init container if that needs more", async () => {
  await newNamespace("sums", [{ type: "Pod", max: { memory: "1Gi" } }]);
  const limits = { limits: { memory: "600Mi" } };
  const sidecar = { name: "side", image: "x", restartPolicy: "Always", resources: limits };
  const answer = await newPod("sums", "web", limits, { initContainers: [sidecar] });
  assert.match(answer.body.message, /: maximum memory usage per Pod is 1Gi, but limit is 1200Mi$/);
  const big = { name: "first", image: "x", resources: { limits: { memory: "2Gi" } } };
  assert.match((await newPod("sums", "web", limits, { initContainers: [big] })).body.message, /but limit is 2Gi$/);
  assert.match((await newPod("sums", "web", {})).body.message, /is 1Gi.  No limit is specified$/);
  assert.equal((await newPod("sums", "web", limits)).status, 201);
});

test("a claim that requests less or more storage than the LimitRange allows is refused", async () => {
  await newNamespace("claims", [{ type: "PersistentVolumeClaim", min: { storage: "1Gi" }, max: { storage: "2Gi" } }]);
  const claim = async (storage: string): Promise<[number, string]> =>
    refusal(
      await server.call("POST", "/api/v1/namespaces/claims/persistentvolumeclaims", {
        metadata: { name: "data" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
      }),
    );
  const forbidden = 'persistentvolumeclaims "data" is forbidden:';
  assert.deepEqual(await claim("512Mi"), [
    403,
    `${forbidden} minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi`,
  ]);
  assert.deepEqual(await claim("3Gi"), [
    403,
    `${forbidden} maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi`,
  ]);
  assert.deepEqual(await claim("2Gi"), [201, undefined]);
});

test("a LimitRange that contradicts itself is refused, and the message names the field", async () => {
  const limits = [
    { type: "Container", min: { cpu: "2" }, max: { cpu: "1" } },
    { type: "Pod", default: { cpu: "1" }, maxLimitRequestRatio: { cpu: "500m" } },
    { type: "PersistentVolumeClaim" },
    { type: "Pod" },
  ];
  const { status, body } = await server.call("POST", "/api/v1/namespaces/default/limitranges", {
    metadata: { name: "wrong" },
    spec: { limits },
  });
  assert.equal(status, 422);
  const faults = body.details.causes.map(({ field, message }: Json) => `${field}: ${message}`);
  for (const expected of [
    'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
    "spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
    'spec.limits[1].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
    "spec.limits[2]: Required value: either minimum or maximum storage value is required, but neither was provided",
    'spec.limits[3].type: Duplicate value: "Pod"',
  ])
    assert.ok(faults.includes(expected), `${expected}\n${faults.join("\n")}`);
});
