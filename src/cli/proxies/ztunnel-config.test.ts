import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const dump = {
  workloads: [
    {
      name: "reviews-v1-7b",
      namespace: "bookinfo",
      workloadIps: ["10.244.1.7"],
      node: "kind-worker",
      protocol: "HBONE",
      waypoint: { destination: { namespace: "bookinfo", hostname: "waypoint.bookinfo.svc.cluster.local" } },
    },
    { name: "kubernetes", namespace: "default", workloadIps: ["172.18.0.2"], node: "", protocol: "TCP" },
  ],
  services: [
    {
      name: "reviews",
      namespace: "bookinfo",
      hostname: "reviews.bookinfo.svc.cluster.local",
      vips: ["/10.96.4.4"],
      endpoints: { a: { status: "Healthy" }, b: { status: "Unhealthy" } },
    },
  ],
  policies: [{ name: "only-productpage", namespace: "bookinfo", action: "Allow", scope: "WorkloadSelector" }],
  certificates: [
    {
      identity: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews",
      state: "Available",
      certChain: [
        { serialNumber: "17", validFrom: "2026-05-31T23:00:00.000Z", expirationTime: "2026-06-01T23:00:00.000Z" },
      ],
      rootCerts: [
        { serialNumber: "1", validFrom: "2016-05-31T23:00:00.000Z", expirationTime: "2026-05-30T00:00:00.000Z" },
      ],
    },
    { identity: "spiffe://cluster.local/ns/default/sa/sleep", state: "Initializing" },
  ],
  workloadState: {
    "uid-1": {
      state: "Up",
      info: { name: "reviews-v1-7b", namespace: "bookinfo" },
      connections: {
        inbound: [
          { src: "10.244.1.5:4004", originalDst: "10.244.1.7:9080", actualDst: "10.244.1.7:15008", protocol: "HBONE" },
        ],
        outbound: [
          { src: "10.244.1.7:5005", originalDst: "10.96.4.9:9080", actualDst: "10.244.2.3:15008", protocol: "HBONE" },
        ],
      },
    },
  },
};

const ztunnel = (name: string, nodeName: string, phase = "Running") => ({
  metadata: { name, namespace: "istio-system", labels: { app: "ztunnel" } },
  spec: { nodeName },
  status: { phase },
});
const cluster: FakeCluster = {
  objects: {
    Pod: [
      ztunnel("ztunnel-b", "kind-worker"),
      ztunnel("ztunnel-a", "kind-control-plane", "Pending"),
      ztunnel("ztunnel-c", "kind-worker2"),
      {
        ...ztunnel("mine", "kind-worker2"),
        metadata: { name: "mine", namespace: "elsewhere", labels: { app: "ztunnel" } },
      },
      { ...ztunnel("", "kind-worker"), metadata: { name: "reviews-v1-7b", namespace: "bookinfo" } },
      { metadata: { name: "reviews-v1-9c", namespace: "bookinfo" } },
    ],
  },
  pods: {
    "GET ztunnel-b.istio-system:15000/config_dump": JSON.stringify(dump),
    "GET ztunnel-c.istio-system:15000/config_dump": JSON.stringify({ policies: [] }),
    "GET mine.elsewhere:15000/config_dump": JSON.stringify({ workloads: [] }),
    "POST ztunnel-b.istio-system:15000/logging": "current log level is info\n",
    "POST ztunnel-c.istio-system:15000/logging": "current log level is debug\n",
    "POST ztunnel-c.istio-system:15000/logging?level=warn": "current log level is warn\n",
  },
  files: { "dump.json": JSON.stringify(dump) },
};

async function run(line: string, fakeCluster: FakeCluster = cluster): Promise<string> {
  const context = new FakeContext(fakeCluster);
  await createProgram(context).parseAsync(["ztunnel-config", ...line.split(" ")], { from: "user" });
  return context.output;
}

test("workloads have upstream's columns", async () => {
  assert.equal(
    await run("workload"),
    `NAMESPACE   POD NAME        ADDRESS      NODE          WAYPOINT   PROTOCOL
bookinfo    reviews-v1-7b   10.244.1.7   kind-worker   waypoint   HBONE
default     kubernetes      172.18.0.2   None          None       TCP
`,
  );
});

test("a namespace filters a table", async () => {
  assert.equal(
    await run("workloads ztunnel-b --workload-namespace default"),
    `NAMESPACE   POD NAME     ADDRESS      NODE   WAYPOINT   PROTOCOL
default     kubernetes   172.18.0.2   None   None       TCP
`,
  );
});

test("services show how many endpoints are healthy", async () => {
  assert.equal(
    await run("service"),
    `NAMESPACE   SERVICE NAME   SERVICE VIP   WAYPOINT   ENDPOINTS
bookinfo    reviews        10.96.4.4     None       1/2
`,
  );
});

test("policies can also be listed from a saved dump", async () => {
  const expected = `NAMESPACE   POLICY NAME        ACTION   SCOPE
bookinfo    only-productpage   Allow    WorkloadSelector
`;
  assert.equal(await run("policy"), expected);
  assert.equal(await run("policy --file dump.json", { files: cluster.files ?? {} }), expected);
});

test("a certificate is valid during its lifetime, and a missing one is Initializing", async () => {
  assert.equal(
    await run("certificate"),
    `CERTIFICATE NAME                                         TYPE   STATUS         VALID CERT   SERIAL NUMBER   NOT AFTER                  NOT BEFORE
spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews   Leaf   Available      true         11              2026-06-01T23:00:00.000Z   2026-05-31T23:00:00.000Z
spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews   Root   Available      false        1               2026-05-30T00:00:00.000Z   2016-05-31T23:00:00.000Z
spiffe://cluster.local/ns/default/sa/sleep               NA     Initializing   false        NA              NA                         NA
`,
  );
});

test("a keyed dump of an older ztunnel can be read", async () => {
  const older = {
    workloads: {
      a: {
        uid: "uid-a",
        name: "web-1",
        namespace: "shop",
        workloadIps: ["10.0.0.1"],
        node: "n1",
        protocol: "HBONE",
        waypoint: { destination: "/10.96.0.9" },
        status: "Unhealthy",
      },
    },
    services: {
      a: { name: "waypoint", namespace: "shop", hostname: "waypoint.shop.svc.cluster.local", vips: ["/10.96.0.9"] },
      b: {
        name: "web",
        namespace: "shop",
        hostname: "web.shop.svc.cluster.local",
        vips: ["/10.96.0.7"],
        endpoints: { "uid-a:/10.0.0.1": { workloadUid: "uid-a" } },
      },
    },
    certificates: [{ identity: "spiffe://cluster.local/ns/shop/sa/web", state: "Unavailable: no answer" }],
  };
  const files = { "older.json": JSON.stringify(older) };
  assert.match(await run("workload -f older.json", { files }), /\nshop +web-1 +10\.0\.0\.1 +n1 +waypoint +HBONE\n$/);
  assert.match(
    await run("service -f older.json", { files }),
    /\nshop +waypoint +10\.96\.0\.9 +None +0\/0\nshop +web +10\.96\.0\.7 +None +0\/1\n$/,
  );
  assert.match(await run("certificate -f older.json", { files }), / NA +Unavailable +false +NA +NA +NA\n$/);
});

test("connections are shown from the pod's perspective", async () => {
  assert.equal(
    await run("connections --raw"),
    `WORKLOAD                 DIRECTION   LOCAL              REMOTE             REMOTE TARGET     PROTOCOL
reviews-v1-7b.bookinfo   Inbound     10.244.1.7:15008   10.244.1.5:4004    10.244.1.7:9080   HBONE
reviews-v1-7b.bookinfo   Outbound    10.244.1.7:5005    10.244.2.3:15008   10.96.4.9:9080    HBONE
`,
  );
  assert.match(
    await run("connections --direction outbound"),
    /^WORKLOAD.*\nreviews-v1-7b\.bookinfo +Outbound +reviews-v1-7b\.bookinfo:5005 +10\.244\.2\.3:15008 +10\.96\.4\.9:9080 +HBONE\n$/,
  );
});

test("`all` prints every table, and with JSON the dump", async () => {
  const headers = (await run("all")).split("\n").filter((line) => /^(NAMESPACE|CERTIFICATE|WORKLOAD)/.test(line));
  assert.equal(headers.length, 5);
  assert.deepEqual(JSON.parse(await run("all -o json")), dump);
});

test("a pod is selected with its namespace, and a node by name", async () => {
  assert.equal(await run("workload mine.elsewhere"), "NAMESPACE   POD NAME   ADDRESS   NODE   WAYPOINT   PROTOCOL\n");
  assert.equal(await run("policy --node kind-worker2"), "NAMESPACE   POLICY NAME   ACTION   SCOPE\n");
  await assert.rejects(
    run("policy --node kind-control-plane"),
    /no ztunnel runs in the namespace istio-system on the node kind-control-plane/,
  );
});

test("a pod that is no ztunnel selects the ztunnel of its node, and only the pod's own lines are shown", async () => {
  for (const line of ["workload reviews-v1-7b.bookinfo", "workload -n bookinfo pod/reviews-v1-7b"])
    assert.match(await run(line), /^NAMESPACE .*\nbookinfo +reviews-v1-7b +10\.244\.1\.7 .*\n$/, line);
  assert.deepEqual(JSON.parse(await run("connections reviews-v1-7b.bookinfo -o json")), [dump.workloadState["uid-1"]]);
  assert.match(await run("service reviews-v1-7b.bookinfo"), /\nbookinfo +reviews /);
  await assert.rejects(
    run("workload reviews-v1-9c.bookinfo"),
    /pod reviews-v1-9c\.bookinfo is not scheduled to a node/,
  );
  await assert.rejects(run("log reviews-v1-7b.bookinfo"), /pod reviews-v1-7b\.bookinfo is not a ztunnel/);
});

test("a pod that does not exist is refused with similar names, and a pod cannot be combined with a node", async () => {
  await assert.rejects(run("workload ztunel-b"), {
    message: 'there is no pod "ztunel-b" in namespace istio-system',
    hint: "did you mean ztunnel-b?",
  });
  await assert.rejects(run("workload ztunnel-b --node kind-worker2"), /a pod, --node and --file exclude each other/);
});

test("log shows every level, and a changed one", async () => {
  assert.equal(await run("log ztunnel-c --level warning"), "ztunnel-c.istio-system:\ncurrent log level is warn\n");
  assert.equal(
    await run("log"),
    "ztunnel-b.istio-system:\ncurrent log level is info\nztunnel-c.istio-system:\ncurrent log level is debug\n",
  );
  assert.equal(await run("log ztunnel-c --level warn"), "ztunnel-c.istio-system:\ncurrent log level is warn\n");
  await assert.rejects(
    run("log --level loud"),
    /--level loud is unknown: expected one of trace, debug, info, warn, error/,
  );
});
