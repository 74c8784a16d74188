import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { describeError, transientError } from "../../base/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const pod = (
  namespace: string,
  name: string,
  labels: Record<string, string>,
  annotations: Record<string, string> = {},
) => ({ metadata: { namespace, name, labels, annotations }, status: { phase: "Running" } });
const gateway = (name: string, labels: Record<string, string>, annotations: Record<string, string> = {}) => ({
  metadata: { namespace: "bookinfo", name, labels, annotations },
  spec: { gatewayClassName: "istio", listeners: [] },
});
const istiod = (revision: string) => ({
  metadata: {
    namespace: "istio-system",
    name: `istiod-${revision}`,
    labels: { app: "istiod", "istio.io/rev": revision, "operator.istio.io/component": "Pilot" },
  },
});
const injector = (name: string, labels: Record<string, string>) => ({
  metadata: { name, labels: { app: "sidecar-injector", ...labels } },
});
const inUse: FakeCluster = {
  objects: {
    Deployment: [istiod("old"), istiod("new"), istiod("unused")],
    MutatingWebhookConfiguration: [
      injector("istio-revision-tag-prod", { "istio.io/rev": "old", "istio.io/tag": "prod" }),
    ],
    Namespace: [
      { metadata: { name: "bookinfo", labels: { "istio.io/rev": "old" } } },
      { metadata: { name: "shop", labels: { "istio.io/rev": "prod" } } },
      { metadata: { name: "moved", labels: { "istio.io/rev": "new" } } },
    ],
    Pod: [
      pod("istio-system", "istiod-old-1", { app: "istiod", "istio.io/rev": "old" }),
      pod("istio-system", "ztunnel-old-1", { app: "ztunnel", "istio.io/rev": "old" }),
      pod("bookinfo", "reviews-1", {}, { "serin.dev/ztunnel-owner": "old" }),
      pod("bookinfo", "ratings-1", {}, { "serin.dev/ztunnel-owner": "new" }),
      pod("shop", "cart-1", {}, { "sidecar.istio.io/status": "{}", "istio.io/rev": "old" }),
      pod("istio-system", "istio-ingressgateway-1", {
        "operator.istio.io/component": "IngressGateways",
        "istio.io/rev": "old",
      }),
    ],
    Gateway: [
      gateway("edge", {}),
      gateway("by-tag", { "istio.io/rev": "prod" }),
      gateway("moved", { "istio.io/rev": "new" }),
      gateway("half-way", { "istio.io/rev": "new" }, { "rollout.serin.dev/canary-revision": "old" }),
    ],
  },
  answers: {
    "/api/v1/namespaces/istio-system/pods/istiod-old-1:8080/proxy/debug/serin/proxies?gone=true": JSON.stringify([
      { id: "ztunnel-old-1.istio-system" },
      { id: "istio-ingressgateway-1.istio-system" },
      { id: "edge-istio-1.bookinfo" },
    ]),
  },
};

async function uninstall(flags: string, cluster: FakeCluster): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["uninstall", ...flags.split(" ")], { from: "user" });
  return context;
}

test("a revision in use stays and its users are listed, except those removed with it", async () => {
  await assert.rejects(uninstall("--revision old -y", inUse), (error) => {
    assert.equal(
      describeError(error),
      `revision "old" is still needed by
  tags: prod
  namespaces: bookinfo, shop
  proxies: edge-istio-1.bookinfo
  gateways: bookinfo/by-tag, bookinfo/edge, bookinfo/half-way
  pods: bookinfo/reviews-1, shop/cart-1
  hint: move them first (serin upgrade start), or pass --force`,
    );
    return true;
  });
});

test("--force removes it anyway", async () => {
  const { removed, output } = await uninstall("--revision old -y --force", inUse);
  assert.deepEqual(removed, [{ revision: "old" }]);
  assert.equal(output, "✔ Uninstall complete\n");
});

test("with an IstioOperator file, only what was installed from it is removed", async () => {
  const file =
    "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata:\n  name: mesh\nspec:\n  revision: unused\n";
  const cluster: FakeCluster = { ...inUse, files: { "iop.yaml": file } };
  for (const flags of ["-f iop.yaml -y", "-f iop.yaml -r unused -d charts -y"])
    assert.deepEqual((await uninstall(flags, cluster)).removed, [{ revision: "unused", owner: "mesh" }]);
});

test("an installation can be read from standard input, which can be read only once", async () => {
  const contents = ["metadata:\n  name: mesh\nspec:\n  revision: unused\n"];
  const context = Object.assign(new FakeContext(inUse), { readFile: async () => contents.pop() ?? "" });
  await createProgram(context).parseAsync(["uninstall", "-f", "-", "-y"], { from: "user" });
  assert.deepEqual(context.removed, [{ revision: "unused", owner: "mesh" }]);
});

test("a revision that only its own ztunnels use is removed", async () => {
  const { removed } = await uninstall("--revision unused -y", inUse);
  assert.deepEqual(removed, [{ revision: "unused" }]);
});

test("nothing is removed if what may need it cannot be listed, and a cluster without the kind has nothing of it", async () => {
  const failing = (kind: string, code: "unavailable" | "not-found"): FakeCluster => ({
    ...inUse,
    refusals: { [kind]: transientError(code, `${kind} cannot be listed`) },
  });
  for (const [command, kind] of [
    ["uninstall --revision unused -y", "Gateway"],
    ["operator remove -y", "IstioOperator"],
  ] as const) {
    const labels = { "operator.istio.io/managed-by": "serin" };
    const operator = { metadata: { namespace: "istio-operator", name: "istio-operator", labels } };
    const run = async (code: "unavailable" | "not-found"): Promise<FakeContext> => {
      const cluster = failing(kind, code);
      const objects = { ...cluster.objects, Deployment: [...(cluster.objects?.["Deployment"] ?? []), operator] };
      const context = new FakeContext({ ...cluster, objects });
      await createProgram(context).parseAsync(command.split(" "), { from: "user" });
      return context;
    };
    await assert.rejects(run("unavailable"), { message: `${kind} cannot be listed` }, command);
    const { removed, applied } = await run("not-found");
    assert.equal(removed.length + applied.length > 0, true, command);
  }
});

test("an istiod that does not answer is reported, and does not delay its removal", async () => {
  const dead: FakeCluster = {
    objects: {
      Deployment: [istiod("old")],
      Pod: [pod("istio-system", "istiod-old-1", { app: "istiod", "istio.io/rev": "old" })],
    },
  };
  const { removed, errors } = await uninstall("--revision old -y", dead);
  assert.deepEqual(removed, [{ revision: "old" }]);
  assert.match(errors, /^! istiod-old-1 did not list its connected proxies: /);
});

test("an unknown revision is refused, and the error lists the installed ones", async () => {
  await assert.rejects(uninstall("--revision odl -y", inUse), (error) => {
    assert.equal(
      describeError(error),
      `there is no revision "odl" in the cluster\n  hint: installed: new, old, unused`,
    );
    return true;
  });
});

test("a purge lists the dependents and asks for confirmation", async () => {
  const context = new FakeContext(inUse);
  await assert.rejects(
    createProgram(context).parseAsync(["uninstall", "--purge"], { from: "user" }),
    /nothing was removed/,
  );
  assert.match(
    context.errors,
    /^! These pods are in the mesh:\n.*\n! --purge removes all of these control planes: .*\n! These depend on the revision, and will lose their control plane:\n {2}revision old, tags: prod\n {2}revision old, namespaces: bookinfo, shop\n/,
  );
  assert.deepEqual((await uninstall("--purge -y", inUse)).removed, ["everything"]);
});

test("a purge reports that the revision and the file beside it have no effect", async () => {
  assert.match(
    (await uninstall("--purge -y -r old -f mesh.yaml", inUse)).errors,
    /^! --purge removes every revision, so this has no effect: --revision old, --filename mesh\.yaml\n/,
  );
  assert.doesNotMatch((await uninstall("--purge -y", inUse)).errors, /has no effect/);
});

test("a purge names each control plane with its image, because one may be Istio's own", async () => {
  const plane = (revision: string, image: string) => ({
    ...istiod(revision),
    spec: { template: { spec: { containers: [{ name: "discovery", image }] } } },
  });
  const planes = [plane("up", "docker.io/istio/pilot:1.30.2"), plane("serin", "ghcr.io/serin-mesh/pilot:0.2.0")];
  const errorsWith = async (...Deployment: readonly KubernetesObject[]): Promise<string> =>
    (await uninstall("--purge -y", { objects: { Deployment } })).errors;
  assert.equal(
    await errorsWith(...planes),
    "! --purge removes all of these control planes: istio-system/istiod-up (docker.io/istio/pilot:1.30.2), istio-system/istiod-serin (ghcr.io/serin-mesh/pilot:0.2.0). To remove one: serin uninstall --revision <revision>\n",
  );
  assert.equal(
    await errorsWith(...planes.slice(0, 1)),
    "! --purge removes this control plane: istio-system/istiod-up (docker.io/istio/pilot:1.30.2)\n",
  );
  assert.equal(await errorsWith(), "");
});

test("nothing is removed without confirmation", async () => {
  await assert.rejects(uninstall("--purge", inUse), /nothing was removed/);
});

test("a purge names the mesh's pods by namespace, with or without confirmation", async () => {
  const captured = { "ambient.istio.io/redirection": "enabled" };
  const agent = { name: "istio-cni-node", namespace: "istio-system", labels: { "k8s-app": "istio-cni-node" } };
  const cluster: FakeCluster = {
    objects: {
      DaemonSet: [{ metadata: agent }],
      Pod: [
        pod("shop", "cart-1", {}, captured),
        pod("bookinfo", "reviews-1", {}, captured),
        pod("bookinfo", "reviews-2", {}, captured),
        pod("legacy", "web-1", {}, { "sidecar.istio.io/status": "{}" }),
        pod("plain", "web-1", {}),
      ],
    },
  };
  const named = `! These pods are in the mesh:
  ambient, which continue in plain text: bookinfo (2 pods), shop (1 pod)
  with a sidecar, which stays in them until they restart: legacy (1 pod)
`;
  assert.equal((await uninstall("--purge -y", cluster)).errors, named);
  const context = new FakeContext(cluster);
  await assert.rejects(
    createProgram(context).parseAsync(["uninstall", "--purge"], { from: "user" }),
    /nothing was removed/,
  );
  assert.ok(context.errors.startsWith(named));
  assert.match(
    (await uninstall("--purge -y", { objects: { Pod: [pod("shop", "cart-1", {}, captured)] } })).errors,
    /ambient, which lose their network until they restart, because no CNI agent .*: shop \(1 pod\)/,
  );
});

test("a tenant's Deployment and pods with the mesh's labels are not treated as the mesh's own", async () => {
  const labels = { app: "istiod", "istio.io/rev": "other" };
  const tag = injector("istio-revision-tag-prod", { "istio.io/rev": "old", "istio.io/tag": "prod" });
  const own = pod("istio-system", "istiod-old-1", { app: "istiod", "istio.io/rev": "old" });
  const made: FakeCluster = {
    objects: {
      Deployment: [istiod("old"), { metadata: { name: "istiod", namespace: "tenant", labels } }],
      MutatingWebhookConfiguration: [tag],
      Pod: [
        own,
        pod("tenant", "istiod-1", { app: "istiod", "istio.io/rev": "old" }),
        pod("tenant", "web-1", { app: "ztunnel", "istio.io/rev": "old" }, { "serin.dev/ztunnel-owner": "old" }),
      ],
    },
    answers: { "/api/v1/namespaces/istio-system/pods/istiod-old-1:8080/proxy/debug/serin/proxies?gone=true": "[]" },
  };
  const error = await uninstall("--revision old -y", made).then(() => assert.fail("it was removed"), describeError);
  assert.match(error, /^revision "old" is still needed by\n {2}pods: tenant\/web-1\n/);
});

test("a purge names the control planes of other installers, which stay", async () => {
  const foreign = { metadata: { namespace: "istio-system", name: "istiod-sample", labels: { app: "istiod" } } };
  const cluster = {
    objects: {
      Deployment: [istiod("old"), foreign],
      MutatingWebhookConfiguration: [injector("i", {})],
      Namespace: [{ metadata: { name: "istio-system" } }],
    },
  };
  const { errors, output } = await uninstall("--purge -y", cluster);
  assert.equal(
    errors,
    "! --purge removes this control plane: istio-system/istiod-old\n! Another installer made these control planes, and they stay: istio-system/istiod-sample. Remove them with that installer, for example by deleting its object, or by helm uninstall. After that, serin uninstall --purge names what else stays in the cluster\n",
  );
  assert.doesNotMatch(output, /kubectl delete/, "no command may destroy the mesh that stays");
  assert.equal((await uninstall("--revision old -y --force", inUse)).errors, "");
});

test("a purge says what stays in the cluster, with the commands that remove it, and names no namespace of others", async () => {
  const named = (...names: string[]) => names.map((name) => ({ metadata: { name } }));
  const cluster: FakeCluster = {
    installed: [
      {
        kind: "Deployment",
        metadata: { namespace: "mesh", name: "istiod", labels: { "operator.istio.io/component": "Pilot" } },
      },
      { kind: "DaemonSet", metadata: { namespace: "kube-system", name: "ztunnel" } },
    ],
    objects: {
      CustomResourceDefinition: [
        { metadata: { name: "gateways.networking.istio.io", labels: { "app.kubernetes.io/part-of": "istio" } } },
        { metadata: { name: "others.example.org" } },
      ],
      GatewayClass: [
        { metadata: { name: "istio" }, spec: { controllerName: "istio.io/gateway-controller" } },
        { metadata: { name: "other" }, spec: { controllerName: "example.org/gateway" } },
      ] as never,
      ConfigMap: [
        { metadata: { namespace: "shop", name: "istio-ca-root-cert" } },
        { metadata: { namespace: "shop", name: "istio-ca-crl" } },
        { metadata: { namespace: "web", name: "istio-ca-crl" } },
        { metadata: { namespace: "shop", name: "settings" } },
      ],
      Namespace: named("default", "istio-system", "kube-system", "mesh", "serin-system", "shop"),
    },
  };
  const { output } = await uninstall("--purge -y", cluster);
  assert.equal(
    output.slice(output.indexOf("✔")),
    `✔ Uninstall complete
These stay, so that another installation goes on with them. To remove them:
  1 definition of kinds, with all objects of these kinds
    kubectl delete customresourcedefinition -l app.kubernetes.io/part-of=istio
  GatewayClasses istio
    kubectl delete gatewayclass istio
  the mesh's root, ConfigMap istio-ca-root-cert in 1 namespace
    kubectl delete configmap -A --field-selector metadata.name=istio-ca-root-cert
  the mesh's revocation lists, ConfigMap istio-ca-crl in 2 namespaces
    kubectl delete configmap -A --field-selector metadata.name=istio-ca-crl
  namespaces istio-system, mesh, serin-system, with everything in them, such as the mesh's authority
    kubectl delete namespace istio-system mesh serin-system
`,
  );
});

test("a purge names the Gateways whose proxies stay, before and after it, with the command that removes them", async () => {
  const proxy = (namespace: string, name: string, gatewayName: string): KubernetesObject => ({
    metadata: {
      namespace,
      name,
      labels: {
        "gateway.istio.io/managed": "istio.io-gateway-controller",
        "gateway.networking.k8s.io/gateway-name": gatewayName,
      },
    },
  });
  const Deployment = [
    proxy("shop", "waypoint", "waypoint"),
    proxy("shop", "door-istio", "door"),
    // During an upgrade, a Gateway has two Deployments.
    proxy("shop", "door-istio-next", "door"),
    proxy("edge", "front-istio", "front"),
    proxy("serin-probes", "gateway-default-istio", "gateway-default"),
    { metadata: { namespace: "shop", name: "web" } },
  ];
  for (const flags of ["--purge -y", "--purge --dry-run"])
    assert.match(
      (await uninstall(flags, { objects: { Deployment } })).output,
      /These stay.*\n {2}Gateways of namespace edge, .*: front\n.*-n edge front\n {2}Gateways of namespace shop, whose proxies run without a control plane: door, waypoint\n {4}kubectl delete gateways\.gateway\.networking\.k8s\.io -n shop door waypoint\n(?! {2}Gateways)/,
    );
});

test("a purge names operators, and the rights of those whose namespace was deleted", async () => {
  const labels = { "operator.istio.io/managed-by": "serin" };
  const { output } = await uninstall("--purge -y", {
    objects: {
      ClusterRole: ["istio-operator", "istio-operator-old"].map((name) => ({ metadata: { name, labels } })),
      Deployment: [{ metadata: { namespace: "istio-operator", name: "istio-operator", labels } }],
    },
  });
  assert.match(
    output,
    / {2}operators istio-operator\/istio-operator\n {4}serin operator remove --purge\n {2}the rights of operators that are gone: ClusterRoles istio-operator-old\n {4}kubectl delete clusterrole,clusterrolebinding istio-operator-old\n/,
  );
});

const held = (namespace: string | undefined, name: string, finalizers: string[]) => ({
  metadata: { name, finalizers, ...(namespace === undefined ? {} : { namespace }) },
});
const undo = "rollout.serin.dev/undo";

test("a purge is refused while rollouts need their engine, and the error names each with its command", async () => {
  const cluster: FakeCluster = {
    objects: {
      Canary: [held("shop", "reviews", [undo]), held("shop", "done", [])],
      MeshUpgrade: [held(undefined, "to-next", ["other", undo])],
    },
  };
  const context = new FakeContext(cluster);
  const error = await createProgram(context)
    .parseAsync(["uninstall", "--purge", "-y"], { from: "user" })
    .then(() => assert.fail("it was removed"), describeError);
  assert.equal(
    error,
    `only the rollout engine can undo these rollouts, and without it neither they nor their namespaces can be deleted: Canary shop/reviews, MeshUpgrade to-next
  hint: delete them first, and wait until they are gone: kubectl delete canary.rollout.serin.dev reviews -n shop; kubectl delete meshupgrade to-next. --force removes the engine nevertheless`,
  );
  assert.deepEqual(context.removed, []);
  const planned = await uninstall("--purge --dry-run", cluster);
  assert.match(planned.errors, /^! only the rollout engine .* Before you uninstall, delete them first/);
  assert.deepEqual(planned.removed, [{ dryRun: true, selection: "everything" }]);
});

test("--force purges despite such rollouts, and says how to let one go", async () => {
  const { removed, errors } = await uninstall("--purge -y --force", {
    objects: { Canary: [held("shop", "reviews", [undo])] },
  });
  assert.deepEqual(removed, ["everything"]);
  assert.match(
    errors,
    /To let one go without its undo: kubectl patch canary\.rollout\.serin\.dev reviews -n shop --type=merge -p '{"metadata":{"finalizers":null}}'\n/,
  );
});

test("a proxy whose pod has just ended does not keep its revision, and one that stays connected without a pod does", async () => {
  const own = pod("istio-system", "istiod-old-1", { app: "istiod", "istio.io/rev": "old" });
  const path = "/api/v1/namespaces/istio-system/pods/istiod-old-1:8080/proxy/debug/serin/proxies?gone=true";
  const removed = async (looksUntilGone: number): Promise<string> => {
    const answers = { [path]: JSON.stringify([{ id: "sleep-1.shop" }]) };
    const context = new FakeContext({ objects: { Deployment: [istiod("old")], Pod: [own] }, answers });
    let nowMs = 0;
    const sleep = async (ms: number): Promise<void> => {
      nowMs += ms;
      if (nowMs >= looksUntilGone * 500) answers[path] = "[]";
      await Promise.resolve();
    };
    Object.assign(context, { clock: { ...context.clock, steadyMs: () => nowMs, sleep } });
    return await createProgram(context)
      .parseAsync(["uninstall", "--revision", "old", "-y"], { from: "user" })
      .then(() => "removed", describeError);
  };
  assert.equal(await removed(3), "removed");
  assert.match(await removed(100), /^revision "old" is still needed by\n {2}proxies: sleep-1\.shop\n/);
});

test("a proxy that is between two connections keeps its revision while its pod lives, unless it has another one", async () => {
  const pilot = (revision: string) =>
    pod("istio-system", `istiod-${revision}-1`, { app: "istiod", "istio.io/rev": revision });
  const pageOf = (revision: string): string =>
    `/api/v1/namespaces/istio-system/pods/istiod-${revision}-1:8080/proxy/debug/serin/proxies`;
  const gone = { id: "sleep-1.shop", goneAt: "2023-11-14T22:13:20Z" };
  const removed = async (pods: readonly KubernetesObject[], lost: object, others: readonly object[] = []) => {
    const answers = { [`${pageOf("old")}?gone=true`]: JSON.stringify([lost]), [pageOf("new")]: JSON.stringify(others) };
    const objects = { Deployment: [istiod("old"), istiod("new")], Pod: [pilot("old"), pilot("new"), ...pods] };
    return await uninstall("--revision old -y", { objects, answers }).then(() => "removed", describeError);
  };
  const own = pod("shop", "sleep-1", {});
  assert.match(await removed([own], gone), /^revision "old" is still needed by\n {2}proxies: sleep-1\.shop\n/);
  assert.equal(await removed([own], gone, [{ id: gone.id }]), "removed");
  assert.equal(await removed([own], { ...gone, unproven: true }), "removed");
  assert.equal(await removed([{ ...own, status: { phase: "Succeeded" } } as KubernetesObject], gone), "removed");
  assert.equal(await removed([], gone), "removed");
});
