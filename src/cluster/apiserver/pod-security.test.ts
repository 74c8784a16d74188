import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

const server = new ServerHarness();
before(async () => void (await server.start()));
after(async () => await server.remove());

const label = (mode: string): string => `pod-security.kubernetes.io/${mode}`;

async function newNamespace(name: string, labels: Record<string, string>): Promise<Answer> {
  const made = await server.call("POST", "/api/v1/namespaces", { metadata: { name, labels } });
  if (made.status === 201)
    await server.call("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  return made;
}

const careful = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};
const container = (more: Json = {}): Json => ({ name: "a", image: "x", securityContext: careful, ...more });

async function newPod(namespace: string, name: string, spec: Json, annotations: Json = {}): Promise<Answer> {
  return await server.call("POST", `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, annotations },
    spec: { containers: [container()], ...spec },
  });
}

/** Changes to an allowed pod, each with the violation that the level finds. */
const baseline: readonly (readonly [Json, string])[] = [
  [
    { hostNetwork: true, hostPID: true, containers: [container({ ports: [{ containerPort: 80 }] })] },
    'host namespaces (hostNetwork=true, hostPID=true), hostPort (container "a" uses hostPort 80)',
  ],
  [{ volumes: [{ name: "v", hostPath: { path: "/" } }] }, 'hostPath volumes (volume "v")'],
  [
    { containers: [container({ securityContext: { privileged: true } })], initContainers: [container({ name: "i" })] },
    'privileged (container "a" must not set securityContext.privileged=true)',
  ],
  [
    {
      containers: [container({ securityContext: { capabilities: { add: ["NET_RAW", "CHOWN"] } } })],
      initContainers: [container({ name: "i", securityContext: { capabilities: { add: ["SYS_ADMIN"] } } })],
    },
    'non-default capabilities (containers "i", "a" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
  ],
  [
    { containers: [container({ livenessProbe: { httpGet: { host: "10.0.0.1", port: 80 } } })] },
    'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
  ],
  [{ securityContext: { sysctls: [{ name: "kernel.msgmax", value: "1" }] } }, "forbidden sysctls (kernel.msgmax)"],
  [
    { securityContext: { seccompProfile: { type: "Unconfined" } } },
    'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
  ],
  [
    { securityContext: { seLinuxOptions: { type: "spc_t", user: "u" } } },
    'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
  ],
  [
    { securityContext: { appArmorProfile: { type: "Unconfined" } } },
    'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
  ],
];
const restricted: readonly (readonly [Json, string])[] = [
  [
    { containers: [{ name: "a", image: "x" }] },
    'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  ],
  [
    {
      volumes: [
        { name: "v", hostPath: { path: "/" } },
        { name: "n", nfs: { server: "s", path: "/" } },
      ],
    },
    'restricted volume types (volumes "v", "n" use restricted volume types "hostPath", "nfs")',
  ],
  [{ securityContext: { runAsUser: 0 } }, "runAsUser=0 (pod must not set runAsUser=0)"],
  [
    { containers: [container({ securityContext: { ...careful, runAsNonRoot: false } })] },
    'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
  ],
  [
    { containers: [container({ securityContext: { ...careful, capabilities: { drop: ["ALL"], add: ["CHOWN"] } } })] },
    'unrestricted capabilities (container "a" must not include "CHOWN" in securityContext.capabilities.add)',
  ],
];

for (const [level, cases] of [
  ["baseline", baseline],
  ["restricted", restricted],
] as const) {
  test(`a namespace that enforces ${level} refuses what the level forbids, in the real server's words`, async () => {
    await newNamespace(level, { [label("enforce")]: level });
    const allowed = await newPod(level, "allowed", { volumes: [{ name: "v" }] });
    assert.deepEqual([allowed.status, allowed.headers["warning"]], [201, undefined], allowed.text);
    for (const [index, [spec, expected]] of cases.entries()) {
      const { status, body } = await newPod(level, `pod-${index}`, spec);
      assert.deepEqual(
        [status, body.reason, body.message],
        [403, "Forbidden", `pods "pod-${index}" is forbidden: violates PodSecurity "${level}:latest": ${expected}`],
      );
    }
    assert.equal((await newPod("free", "any", {})).status, 404);
  });
}

test("a version keeps the rules of its Kubernetes, and one that is not known yet has the latest", async () => {
  const old = { [label("enforce")]: "baseline", [label("enforce-version")]: "v1.33" };
  await newNamespace("old", old);
  await newNamespace("new", { ...old, [label("enforce-version")]: "v1.99" });
  const probe = { containers: [container({ livenessProbe: { tcpSocket: { host: "10.0.0.1", port: 80 } } })] };
  assert.equal((await newPod("old", "web", probe)).status, 201);
  assert.match((await newPod("new", "web", probe)).body.message, /violates PodSecurity "baseline:v1\.99": probe/);
});

test("enforce refuses pods and not templates, for which it warns, unless warn sets another level", async () => {
  const privileged = { containers: [container({ securityContext: { privileged: true } })] };
  const deployment = async (namespace: string): Promise<Answer> =>
    await server.call("POST", `/apis/apps/v1/namespaces/${namespace}/deployments`, {
      metadata: { name: "web" },
      spec: {
        selector: { matchLabels: { app: "a" } },
        template: { metadata: { labels: { app: "a" } }, spec: privileged },
      },
    });
  await newNamespace("strict", { [label("enforce")]: "baseline" });
  await newNamespace("quiet", { [label("enforce")]: "baseline", [label("warn")]: "privileged" });
  await newNamespace("warned", { [label("warn")]: "restricted", [label("audit")]: "restricted" });
  const strict = await deployment("strict");
  assert.equal(strict.status, 201);
  assert.match(String(strict.headers["warning"]), /would violate PodSecurity \\"baseline:latest\\": privileged/);
  assert.equal((await deployment("quiet")).headers["warning"], undefined);
  const pod = await newPod("warned", "web", privileged);
  assert.equal(pod.status, 201);
  assert.match(String(pod.headers["warning"]), /would violate PodSecurity \\"restricted:latest\\": privileged/);
});

test("unknown levels and versions are refused, and a stricter level warns of the pods that violate it", async () => {
  const refused = await newNamespace("wrong", { [label("enforce")]: "tight", [label("warn-version")]: "1.30" });
  assert.deepEqual(
    [refused.status, refused.body.message],
    [
      422,
      'Namespace "wrong" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "tight": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"]',
    ],
  );
  await newNamespace("later", {});
  for (const name of ["b", "a"]) await newPod("later", name, { hostPID: true });
  await newPod("later", "c", { securityContext: { runAsUser: 0 } });
  const labelled = await server.call(
    "PATCH",
    "/api/v1/namespaces/later",
    { metadata: { labels: { [label("enforce")]: "restricted" } } },
    { contentType: "application/merge-patch+json" },
  );
  assert.equal(labelled.status, 200);
  const warnings = String(labelled.headers["warning"]);
  for (const text of [
    'existing pods in namespace \\"later\\" violate the new PodSecurity enforce level \\"restricted:latest\\"',
    "a (and 1 other pod): host namespaces",
    "c: runAsUser=0",
  ])
    assert.ok(warnings.includes(text), warnings);
});

test("a pod that its namespace would refuse now keeps its life, but gets no other image and no such container", async () => {
  await newNamespace("kept", {});
  await newPod("kept", "web", { hostPID: true });
  await server.call(
    "PATCH",
    "/api/v1/namespaces/kept",
    { metadata: { labels: { [label("enforce")]: "baseline" } } },
    { contentType: "application/merge-patch+json" },
  );
  const change = async (path: string, patch: Json): Promise<number> =>
    (
      await server.call("PATCH", `/api/v1/namespaces/kept/pods/web${path}`, patch, {
        contentType: "application/strategic-merge-patch+json",
      })
    ).status;
  assert.equal(await change("", { metadata: { labels: { a: "b" } } }), 200);
  assert.equal(await change("", { spec: { containers: [{ name: "a", image: "y" }] } }), 403);
  const debug = {
    spec: { ephemeralContainers: [{ name: "debug", image: "y", securityContext: { privileged: true } }] },
  };
  assert.equal(await change("/ephemeralcontainers", debug), 403);
});
