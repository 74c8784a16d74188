import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "../store/testing/memory-store.ts";
import { limitRanger } from "./limit-ranger.ts";
import { admissionRequest, answerOf } from "./testing/admission-request.ts";

type Limit = Readonly<Record<string, unknown>>;

interface Requirements {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

const container = (name: string, resources: Requirements = {}, more: object = {}): object => ({
  name,
  image: "x",
  resources: structuredClone(resources),
  ...more,
});
const pod = (containers: object[], spec: object = {}): object => ({
  metadata: { name: "web" },
  spec: { containers, ...spec },
});

/** The plugin for a namespace with these LimitRanges. Each argument has the limits of one LimitRange. */
async function rangerWith(...ranges: Limit[][]): Promise<ReturnType<typeof limitRanger>> {
  const store = await memoryStore({
    "/limitranges": ranges.map((limits, index) => ({
      metadata: { name: `range-${index}`, namespace: "shop" },
      spec: { limits },
    })),
  });
  return limitRanger(store);
}

async function refusals(limits: Limit[], wanted: object): Promise<string> {
  const answer = await answerOf(await rangerWith(limits), admissionRequest("/pods", wanted));
  return answer.replace('403 pods "web" is forbidden: ', "");
}

const maximum = { type: "Container", max: { cpu: "1" } };
const unlimited = "maximum cpu usage per Container is 1.  No limit is specified";

test("a fault that several containers share is named once", async () => {
  assert.equal(await refusals([maximum], pod([container("a")])), unlimited);
  assert.equal(await refusals([maximum], pod([container("a"), container("b")])), unlimited);
  const tooMuch = container("b", { limits: { cpu: "2" } });
  assert.equal(
    await refusals([maximum], pod([container("a"), tooMuch, container("c")])),
    `[${unlimited}, maximum cpu usage per Container is 1, but limit is 2]`,
  );
});

test("a refusal names the faults of one LimitRange, because the first one that fails decides", async () => {
  const ranger = await rangerWith([maximum], [{ type: "Container", max: { memory: "1Gi" } }]);
  const answer = await answerOf(ranger, admissionRequest("/pods", pod([container("a")])));
  assert.equal(answer, `403 pods "web" is forbidden: ${unlimited}`);
});

test("init containers and sidecars are checked one by one, and ephemeral containers are not", async () => {
  const small = container("main", { limits: { cpu: "1" } });
  const large = container("first", { limits: { cpu: "2" } });
  const fault = "maximum cpu usage per Container is 1, but limit is 2";
  assert.equal(await refusals([maximum], pod([small], { initContainers: [large] })), fault);
  const sidecar = container("side", { limits: { cpu: "2" } }, { restartPolicy: "Always" });
  assert.equal(await refusals([maximum], pod([small], { initContainers: [sidecar] })), fault);
  assert.equal(await refusals([maximum], pod([small], { ephemeralContainers: [container("debug")] })), "allowed");
});

test("resources of the whole pod replace the sum of its containers in a limit of type Pod, and overhead does not count", async () => {
  const ofPod = { type: "Pod", max: { cpu: "1" }, min: { cpu: "100m" } };
  const half = { requests: { cpu: "600m" }, limits: { cpu: "600m" } };
  const two = [container("a", half), container("b", half)];
  assert.equal(await refusals([ofPod], pod(two)), "maximum cpu usage per Pod is 1, but limit is 1200m");
  const resources = { requests: { cpu: "700m" }, limits: { cpu: "900m" } };
  assert.equal(await refusals([ofPod], pod(two, { resources })), "allowed");
  assert.equal(await refusals([ofPod], pod([container("a")], { resources })), "allowed");
  assert.equal(await refusals([ofPod], pod([container("a", half)], { overhead: { cpu: "2" } })), "allowed");
});

test("the resources of a pod are compared as amounts, whatever their notation", async () => {
  const bounds = { type: "Container", min: { memory: "1Gi" }, max: { memory: "2Gi" } };
  for (const [memory, expected] of [
    ["1073741824", "allowed"],
    ["1048576Ki", "allowed"],
    ["1.5Gi", "allowed"],
    ["2e9", "allowed"],
    ["1G", "minimum memory usage per Container is 1Gi, but request is 1G"],
    ["1023.999Mi", "minimum memory usage per Container is 1Gi, but request is 1073740775424m"],
    ["3e9", "maximum memory usage per Container is 2Gi, but limit is 3e9"],
  ] as const)
    assert.equal(
      await refusals([bounds], pod([container("a", { requests: { memory }, limits: { memory } })])),
      expected,
      memory,
    );
});

test("a ratio compares the limit with the request, and needs both", async () => {
  const ratio = { type: "Container", maxLimitRequestRatio: { cpu: "1500m" } };
  const start = "cpu max limit to request ratio per Container is 1500m, but";
  for (const [requests, limits, expected] of [
    [{ cpu: "2" }, { cpu: "3" }, "allowed"],
    [{ cpu: "2" }, { cpu: "3001m" }, `${start} provided ratio is 1.500500`],
    [{}, { cpu: "1" }, `${start} no request is specified or request is 0`],
    [{ cpu: "0" }, { cpu: "1" }, `${start} no request is specified or request is 0`],
    [{ cpu: "1" }, {}, `${start} no limit is specified or limit is 0`],
  ] as const)
    assert.equal(await refusals([ratio], pod([container("a", { requests, limits })])), expected);
});

test("several LimitRanges give their defaults one after another, and a value that is there stays", async () => {
  const ranger = await rangerWith(
    [{ type: "Container", default: { cpu: "1" }, defaultRequest: { cpu: "500m" } }],
    [{ type: "Container", default: { cpu: "2", memory: "1Gi" } }],
  );
  const request = admissionRequest("/pods", pod([container("a", { requests: { cpu: "250m" } })]));
  await ranger.mutate?.(request);
  const [first] = ((request.object?.["spec"] ?? { containers: [] }) as { containers: { resources: Requirements }[] })
    .containers;
  assert.deepEqual(first?.resources, { requests: { cpu: "250m" }, limits: { cpu: "1", memory: "1Gi" } });
});

test("a limit of type Pod gives no defaults, and other kinds get none", async () => {
  const ranger = await rangerWith([{ type: "Pod", default: { cpu: "1" } }]);
  const request = admissionRequest("/pods", pod([container("a")]));
  await ranger.mutate?.(request);
  assert.deepEqual(request.object, pod([container("a")]));
  const template = { metadata: { name: "web" }, spec: { template: pod([container("a")]) } };
  const deployment = admissionRequest("apps/deployments", structuredClone(template));
  assert.equal(await answerOf(await rangerWith([maximum]), deployment), "allowed");
  assert.deepEqual(deployment.object, template);
});

test("an existing pod is checked again only when it is resized, and a pod or claim that is being deleted never", async () => {
  const ranger = await rangerWith([maximum], [{ type: "PersistentVolumeClaim", max: { storage: "1Gi" } }]);
  const wanted = pod([container("a", { limits: { cpu: "2" } })]);
  const fault = '403 pods "web" is forbidden: maximum cpu usage per Container is 1, but limit is 2';
  const update = { operation: "UPDATE" } as const;
  const leaving = { metadata: { name: "web", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assert.equal(await answerOf(ranger, admissionRequest("/pods", wanted, update)), "allowed");
  assert.equal(await answerOf(ranger, admissionRequest("/pods", wanted, { ...update, subresource: "resize" })), fault);
  const claim = {
    ...leaving,
    spec: { resources: { requests: { storage: "2Gi" } } },
  };
  const claims = "/persistentvolumeclaims";
  const old = structuredClone(claim);
  assert.equal(await answerOf(ranger, admissionRequest(claims, claim, { ...update, oldObject: old })), "allowed");
  const { deletionTimestamp: _gone, ...metadata } = leaving.metadata;
  assert.match(
    await answerOf(ranger, admissionRequest(claims, { ...claim, metadata }, update)),
    /maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi$/,
  );
});
