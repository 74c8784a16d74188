import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describeError, transientError, userError } from "../../base/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

async function serin(line: string, cluster: FakeCluster): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["x", ...line.split(" ")]);
  return context;
}

async function refused(line: string, cluster: FakeCluster): Promise<string> {
  return await serin(line, cluster).then(() => assert.fail("it was not refused"), describeError);
}

const object = (kind: string, value: Record<string, unknown>): KubernetesObject =>
  ({ kind, ...value }) as unknown as KubernetesObject;
const expression = (key: string, operator: string, ...values: string[]) => ({
  key,
  operator,
  ...(values.length === 0 ? {} : { values }),
});
const webhook = (name: string, namespaceSelector: unknown, objectSelector: unknown) => ({
  name,
  clientConfig: { service: { name: "istiod", namespace: "istio-system" } },
  namespaceSelector,
  objectSelector,
});
const injector = (name: string, revision: string, labels: Record<string, string> = {}) =>
  object("MutatingWebhookConfiguration", {
    metadata: { name, labels: { app: "sidecar-injector", "istio.io/rev": revision, ...labels } },
    webhooks: [
      webhook(
        "rev.namespace.sidecar-injector.istio.io",
        {
          matchExpressions: [expression("istio.io/rev", "In", revision), expression("istio-injection", "DoesNotExist")],
        },
        { matchExpressions: [expression("sidecar.istio.io/inject", "NotIn", "false")] },
      ),
    ],
  });
const sidecarStatus = { "sidecar.istio.io/status": "{}", "istio.io/rev": "canary" };
const pod = (name: string, namespace: string, labels: Record<string, string>, annotations: Record<string, string>) =>
  object("Pod", {
    metadata: { name, namespace, labels, annotations },
    spec: {
      containers: [
        { name: "web", image: "web", ports: [{ containerPort: 9080 }] },
        { name: "istio-proxy", image: "proxyv2" },
      ],
    },
    status: { phase: "Running", containerStatuses: [{ name: "web", ready: false, restartCount: 0 }] },
  });
const mesh: FakeCluster = {
  objects: {
    Namespace: [
      object("Namespace", { metadata: { name: "shop", labels: { "istio.io/rev": "canary" } } }),
      object("Namespace", { metadata: { name: "other" } }),
      object("Namespace", { metadata: { name: "kube-system" } }),
    ],
    MutatingWebhookConfiguration: [injector("istio-sidecar-injector-canary", "canary")],
    ConfigMap: [
      object("ConfigMap", {
        metadata: {
          name: "istio-sidecar-injector-canary",
          namespace: "istio-system",
          labels: { "istio.io/rev": "canary" },
        },
        data: {
          config: "policy: enabled\nneverInjectSelector:\n- matchLabels: {job: batch}\n",
          values: JSON.stringify({ global: { hub: "docker.io/istio", tag: "1.31.1" } }),
        },
      }),
    ],
    Pod: [
      pod("web-1", "shop", { app: "web", version: "v1" }, sidecarStatus),
      pod("old-1", "shop", { app: "old" }, { "sidecar.istio.io/status": "{}", "istio.io/rev": "stable" }),
    ],
    Service: [
      object("Service", {
        metadata: { name: "web", namespace: "shop" },
        spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: 9080 }] },
      }),
      object("Service", {
        metadata: { name: "ingress", namespace: "istio-system" },
        spec: { selector: { istio: "ingressgateway" }, ports: [{ port: 80, targetPort: 8080 }] },
        status: { loadBalancer: { ingress: [{ ip: "172.18.255.1" }] } },
      }),
    ],
    VirtualService: [
      object("VirtualService", {
        metadata: { name: "web", namespace: "shop" },
        spec: {
          hosts: ["*"],
          gateways: ["front"],
          http: [
            {
              match: [
                { uri: { prefix: "/page" } },
                { uri: { exact: "/" }, headers: { "end-user": { exact: "jason" } } },
              ],
              route: [
                { destination: { host: "web", subset: "v1" }, weight: 90 },
                { destination: { host: "web", subset: "v2" }, weight: 10 },
              ],
            },
            { route: [{ destination: { host: "web", subset: "v3" } }] },
          ],
        },
      }),
    ],
    DestinationRule: [
      object("DestinationRule", {
        metadata: { name: "web", namespace: "shop" },
        spec: {
          host: "web",
          subsets: [
            { name: "v1", labels: { version: "v1" } },
            { name: "v2", labels: { version: "v2" } },
          ],
          trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" }, outlierDetection: {} },
        },
      }),
    ],
    Gateway: [
      object("Gateway", {
        metadata: { name: "front", namespace: "shop" },
        spec: { selector: { istio: "ingressgateway" }, servers: [{ port: { number: 8080, protocol: "HTTP" } }] },
      }),
    ],
    PeerAuthentication: [
      object("PeerAuthentication", {
        metadata: { name: "mesh", namespace: "istio-system" },
        spec: { mtls: { mode: "STRICT" } },
      }),
    ],
    AuthorizationPolicy: [
      object("AuthorizationPolicy", {
        metadata: { name: "deny", namespace: "shop" },
        spec: { action: "DENY", selector: { matchLabels: { app: "web" } } },
      }),
    ],
  },
};

test("check-inject names the injecting webhook, what prevents injection, and the pods that the injector skips", async () => {
  const rows = async (line: string, cluster = mesh): Promise<string> =>
    (await serin(line, cluster)).output.split("\n")[1]?.replaceAll(/ {2,}/g, " | ") ?? "";
  const name = "istio-sidecar-injector-canary | canary";
  assert.equal(await rows("check-inject web-1 -n shop"), `${name} | ✔ | Namespace label istio.io/rev=canary matches`);
  assert.equal(
    await rows("check-inject -l sidecar.istio.io/inject=false -n shop"),
    `${name} | ✘ | Pod has sidecar.istio.io/inject=false label, preventing injection`,
  );
  assert.equal(
    await rows("check-inject -l job=batch -n shop"),
    `${name} | ✘ | Namespace label istio.io/rev=canary matches, but a neverInjectSelector selects it`,
  );
  assert.equal(
    await rows("check-inject -l app=web -n other"),
    `${name} | ✘ | No matching namespace labels (istio.io/rev=canary) or pod labels ()`,
  );
  assert.equal(
    (await serin("check-inject web-1 -n shop", { objects: { ...mesh.objects, MutatingWebhookConfiguration: [] } }))
      .output,
    "ERROR: no Istio injection hooks present.\n",
  );
});

test("check-inject says that the injector's own rules are missing if it cannot read them", async () => {
  const forbidden = userError("forbidden", "configmaps is forbidden");
  const { output, errors } = await serin("check-inject -l job=batch -n shop", {
    objects: {
      ...mesh.objects,
      MutatingWebhookConfiguration: ["istio-sidecar-injector-canary", "istio-revision-tag-prod"].map((name) =>
        injector(name, "canary"),
      ),
    },
    refusals: { ConfigMap: forbidden },
  });
  assert.match(output, /✔ +Namespace label istio\.io\/rev=canary matches/);
  assert.equal(
    errors,
    '! cannot read the injector\'s settings of revision "canary", so its own rules are not checked: configmaps is forbidden\n',
    "once for both webhooks of the revision",
  );
});

test("injector list counts pods by revision, and says which need a restart", async () => {
  assert.equal(
    (await serin("injector list", mesh)).output,
    `NAMESPACE ISTIO-REVISION POD-REVISIONS
shop      canary         canary: 1
shop      canary         stable: 1 NEEDS RESTART: 1

NAMESPACES INJECTOR-HOOK                 ISTIO-REVISION SIDECAR-IMAGE
shop       istio-sidecar-injector-canary canary         docker.io/istio/proxyv2:1.31.1
`,
  );
});

test("revision list counts proxies, and names each control plane that does not list its own", async () => {
  const istiod = (name: string): KubernetesObject =>
    object("Pod", {
      metadata: { name, namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": "canary" } },
      status: { phase: "Running" },
    });
  const path = "/api/v1/namespaces/istio-system/pods/istiod-1:8080/proxy/debug/serin/proxies";
  const cluster: FakeCluster = {
    objects: { ...mesh.objects, Pod: [istiod("istiod-1"), istiod("istiod-2")] },
    answers: { [path]: JSON.stringify([{ id: "web-1.shop" }]) },
  };
  const { output, errors } = await serin("revision list", cluster);
  assert.match(output, /^canary +<no-tag> +2 +0 +1 +1$/m);
  assert.match(errors, /^! istiod-2 did not list its connected proxies, so they are missing here: .+\n$/);
});

const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, "../testing/dumps/sidecar-config-dump.json"), "utf8"),
) as { readonly configs: readonly unknown[] };
const policies = (action: string | undefined, ...names: string[]) => ({
  ...(action === undefined ? {} : { action }),
  policies: Object.fromEntries(names.map((name) => [name, {}])),
});
const rbacDump = JSON.stringify({
  configs: [
    ...recorded.configs.filter((part) => !JSON.stringify(part).includes("ListenersConfigDump")),
    {
      "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
      dynamic_listeners: [
        {
          active_state: {
            listener: {
              filter_chains: [
                {
                  filters: [
                    {
                      name: "envoy.filters.network.http_connection_manager",
                      typed_config: {
                        http_filters: [
                          {
                            name: "envoy.filters.http.rbac",
                            typed_config: { rules: policies("DENY", "ns[shop]-policy[deny]-rule[0]") },
                          },
                          {
                            name: "envoy.filters.http.rbac",
                            typed_config: {
                              rules: policies(
                                undefined,
                                "ns[shop]-policy[page]-rule[0]",
                                "ns[shop]-policy[page]-rule[1]",
                              ),
                              shadow_rules: policies("DENY", "istio-ext-authz-ns[shop]-policy[ext]-rule[0]"),
                            },
                          },
                        ],
                      },
                    },
                  ],
                },
              ],
            },
          },
        },
      ],
    },
  ],
});

test("authz check lists the proxy's policies by action", async () => {
  assert.equal(
    (await serin("authz check --file dump.json", { files: { "dump.json": rbacDump } })).output,
    `ACTION   AuthorizationPolicy   RULES
DENY     deny.shop             1
ALLOW    page.shop             2
CUSTOM   ext.shop              1
`,
  );
});

test("describe shows a pod's service, subsets, routes, exposure and who may reach it", async () => {
  const path = "/config_dump?mask=dynamic_listeners,static_listeners";
  assert.equal(
    (await serin("describe pod web-1.shop", { ...mesh, pods: { [`GET web-1.shop:15000${path}`]: rbacDump } })).output,
    `Pod: web-1.shop
   Pod Revision: canary
   Pod Ports: 9080 (web)
WARNING: Pod web-1.shop Container web NOT READY
--------------------
Service: web.shop
   Port: http 80/HTTP targets pod port 9080
DestinationRule: web.shop for "web"
   Matching subsets: v1
      (Non-matching subsets v2)
   Traffic Policy TLS Mode: ISTIO_MUTUAL
   Policies: outlier detection
VirtualService: web.shop
   Route to host "web" subset "v1" with weight 90%
   /page*, / when headers are end-user=jason
   1 additional destination(s) that will not reach this pod
Exposed on Ingress Gateway http://172.18.255.1
--------------------
Effective PeerAuthentication:
   Workload mTLS mode: STRICT
Applied PeerAuthentication:
   mesh.istio-system
Applied AuthorizationPolicy:
   deny.shop (DENY)
RBAC policies: deny.shop (DENY, 1 rule), page.shop (ALLOW, 2 rules), ext.shop (CUSTOM, 1 rule)
`,
  );
  assert.match(
    (await serin("describe svc web -n shop", mesh)).output,
    /^Service: web\n {3}Port: http 80\/HTTP targets pod port 9080\n/,
  );
  const [web] = mesh.objects?.["Service"] ?? [];
  const twoPorts = {
    ...web,
    spec: {
      selector: { app: "web" },
      ports: [
        { name: "http", port: 80, targetPort: 9080 },
        { name: "tcp", port: 90 },
      ],
    },
  };
  assert.match(
    (
      await serin("describe svc web.shop -n dummy", {
        ...mesh,
        objects: { ...mesh.objects, Service: [twoPorts as KubernetesObject] },
      })
    ).output,
    /^Service: web\.shop\n {3}Port: http 80\/HTTP targets pod port 9080\n {3}Port: tcp 90\/TCP .*\n80:\n {3}DestinationRule: web\.shop for "web"\n {6}Matching subsets: v1\n[^]*\n90:\n {3}DestinationRule/,
  );
  assert.match(
    await refused("describe service wbe -n shop", mesh),
    /^there is no service "wbe" in namespace shop; did you mean web\?/,
  );
});

test("describe fails if a waypoint cannot be read for another reason than the user's rights", async () => {
  const [known] = mesh.objects?.["Service"] ?? [];
  const labels = { "istio.io/use-waypoint": "gate" };
  const Service = [{ ...known, metadata: { name: "web", namespace: "shop", labels } }];
  const whose = (Gateway: Error): FakeCluster => ({
    ...mesh,
    objects: { ...mesh.objects, Service },
    getRefusals: { Gateway },
  });
  const overloaded = whose(transientError("timeout", "get of Gateway shop/gate: etcd does not answer"));
  assert.match(await refused("describe svc web.shop", overloaded), /^get of Gateway shop\/gate: etcd does not answer/);
  const { output } = await serin("describe svc web.shop", whose(userError("forbidden", "no right to gateways")));
  assert.match(output, /Waypoint: gate\.shop\n/);
  assert.doesNotMatch(output, /WARNING: waypoint/);
});

test("describe warns of a waypoint that is missing, of plain text to a strict pod, and of another name of a host", async () => {
  const described = async (line: string, kind: string, changed: object): Promise<string> => {
    const [known] = mesh.objects?.[kind] ?? [];
    const objects = { ...mesh.objects, [kind]: [{ ...known, ...changed }] };
    return (await serin(line, { ...mesh, objects } as FakeCluster)).output;
  };
  const metadata = { name: "web", namespace: "shop" };
  assert.match(
    await described("describe svc web.shop", "Service", {
      metadata: { ...metadata, labels: { "istio.io/use-waypoint": "gone" } },
    }),
    /WARNING: waypoint gone\.shop does not exist/,
  );
  assert.match(
    await described("describe svc web.shop", "Service", {
      metadata: { ...metadata, labels: { "istio.io/use-waypoint": "none" } },
    }),
    /^ {3}Waypoint: none$/m,
  );
  assert.match(
    await described("describe svc web.shop", "Service", {
      metadata,
      spec: { type: "ExternalName", externalName: "db.example.com" },
    }),
    /ExternalName: another name of db\.example\.com/,
  );
  assert.match(
    await described("describe pod web-1.shop", "DestinationRule", {
      metadata,
      spec: { host: "web", trafficPolicy: { tls: { mode: "DISABLE" } } },
    }),
    /WARNING: DestinationRule web\.shop sets the TLS mode DISABLE, and the pod requires mutual TLS/,
  );
  assert.doesNotMatch((await serin("describe pod web-1.shop", mesh)).output, /sets the TLS mode/);
});

test("x version and x proxy-status work as before, with the global flags", async () => {
  const { output } = await serin(
    "version --remote=true --istioNamespace=istio-system --kubeconfig k --timeout 10s",
    mesh,
  );
  assert.match(output, /^client version: 1\.18\.1\n/);
  const context = new FakeContext(mesh);
  await assert.rejects(createProgram(context).parseAsync(["x", "ps"]), { exitCode: 1 });
  assert.match(context.errors, /^No istiod runs in this cluster/);
});

test("metrics asks the mesh's Prometheus for the rates and latencies of workloads, in istioctl's columns", async () => {
  const prometheus = object("Pod", {
    metadata: { name: "prometheus-0", namespace: "istio-system", labels: { "app.kubernetes.io/name": "prometheus" } },
    status: { phase: "Running" },
  });
  const labels = 'destination_workload=~"web.*", destination_workload_namespace=~"shop.*",reporter="destination"';
  const quantile = (part: string): string =>
    `histogram_quantile(${part}, sum(rate(istio_request_duration_milliseconds_bucket{${labels}}[60000ms])) by (le))`;
  const values: Readonly<Record<string, string | undefined>> = {
    [`sum(rate(istio_requests_total{${labels}}[60000ms]))`]: "0.04",
    [`sum(rate(istio_requests_total{${labels},response_code=~"[45][0-9]{2}"}[60000ms]))`]: undefined,
    [quantile("0.5")]: "2.5",
    [quantile("0.9")]: "1500",
    [quantile("0.99")]: "NaN",
  };
  const pods = Object.fromEntries(
    Object.entries(values).map(([query, value]) => [
      `GET prometheus-0.istio-system:9090/api/v1/query?query=${encodeURIComponent(query)}`,
      JSON.stringify({
        status: "success",
        data: { resultType: "vector", result: value === undefined ? [] : [{ value: [1, value] }] },
      }),
    ]),
  );
  const cluster = { objects: { Pod: [prometheus] }, pods };
  assert.equal(
    (await serin("metrics web.shop", cluster)).output,
    `                                  WORKLOAD    TOTAL RPS    ERROR RPS  P50 LATENCY  P90 LATENCY  P99 LATENCY
                                  web.shop        0.040        0.000          2ms         1.5s           0s
`,
  );
  assert.match(await refused("metrics", cluster), /^metrics requires workload name\n/);
  assert.match(await refused("metrics web", mesh), /^no Prometheus pods found\n/);
  assert.match(await refused("metrics other", cluster), /^could not build metrics for workload 'other': /);
});

const review = (allowed: boolean): string => JSON.stringify({ status: { allowed, reason: "no rule for it" } });
const ready = {
  "/version": JSON.stringify({ gitVersion: "v1.36.0" }),
  "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": review(true),
  "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": JSON.stringify({ items: [] }),
};

test("precheck finds an old cluster, missing rights and an old Gateway API, by istioctl's codes", async () => {
  assert.equal(
    (await serin("precheck", { answers: ready })).errors,
    "✔ No issues found when checking the cluster. Istio is safe to install or upgrade!\n",
  );
  const old = {
    ...ready,
    "/version": JSON.stringify({ gitVersion: "v1.27.3" }),
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": review(false),
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": JSON.stringify({
      items: [
        {
          metadata: { name: "gateways.gateway.networking.k8s.io" },
          spec: {
            group: "gateway.networking.k8s.io",
            names: { kind: "Gateway" },
            versions: [{ name: "v1beta1", served: true }],
          },
        },
      ],
    }),
  };
  const context = new FakeContext({ answers: old });
  await assert.rejects(createProgram(context).parseAsync(["x", "precheck"]), /Issues found when checking the cluster/);
  const lines = context.output.split("\n");
  assert.equal(
    lines[0],
    'Error [IST0142] (Cluster) The Kubernetes Version "v1.27.3" is lower than the minimum version: 1.32',
  );
  assert.ok(
    lines.includes(
      "Error [IST0141] (Cluster) Missing required permission to create resource deployments in namespace istio-system (no rule for it)",
    ),
  );
  assert.ok(
    lines.includes(
      "Warning [IST0172] (CustomResourceDefinition gateways.gateway.networking.k8s.io) The Gateway API CRD version v1beta1 is lower than the minimum version: v1",
    ),
  );
});

test("precheck names the stored objects that the control plane refuses, or serves otherwise than they are written", async () => {
  const virtualService = (name: string, value: string, labels: Record<string, string> = {}) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { namespace: "shop", name, labels },
    spec: {
      hosts: ["a"],
      http: [{ headers: { request: { set: { a: value } } }, route: [{ destination: { host: "a" } }] }],
    },
  });
  const policy = (name: string, action: string) => ({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { namespace: "shop", name },
    spec: { action, rules: [{ to: [{}] }] },
  });
  const objects = {
    VirtualService: [
      virtualService("good", "%PROTOCOL%"),
      virtualService("bad", "%SPAN_ID%"),
      { ...virtualService("other", "%SPAN_ID%", { "istio.io/rev": "canary" }), spec: {} },
    ],
    AuthorizationPolicy: [policy("open", "ALLOW"), policy("shut", "DENY"), policy("seen", "AUDIT")],
  };
  const linesOf = async (...flags: readonly string[]): Promise<readonly string[]> => {
    const context = new FakeContext({ answers: ready, objects });
    await assert.rejects(createProgram(context).parseAsync(["x", "precheck", ...flags]), /Issues found when checking/);
    return context.output.trimEnd().split("\n");
  };
  const [open, shut, seen, bad, ...others] = await linesOf();
  assert.match(
    open ?? "",
    /^Error \[IST0106\] \(AuthorizationPolicy shop\/open\) is refused, and allows nothing: spec\./,
  );
  assert.match(shut ?? "", /\(AuthorizationPolicy shop\/shut\) is refused, and denies all that it selects: spec\./);
  assert.match(seen ?? "", /\(AuthorizationPolicy shop\/seen\) is refused: spec\./);
  assert.match(
    bad ?? "",
    /^Warning \[IST0106\] \(VirtualService shop\/bad\) is served except for faulty fields: spec\.http\[0\]\.headers\.request\.set\.a: has %SPAN_ID%.* write a percent sign as %%; until then, proxies send the value as text$/,
  );
  assert.deepEqual(others, []);
  assert.match(
    (await linesOf("--revision", "canary")).at(-1) ?? "",
    /\(VirtualService shop\/other\) is refused: spec: must have/,
  );
});

test("precheck names the kinds whose objects the user may not read", async () => {
  const refusals = { Sidecar: userError("forbidden", "sidecars is forbidden") };
  const all = new FakeContext({ answers: ready, refusals });
  await assert.rejects(createProgram(all).parseAsync(["x", "precheck"]), /Issues found when checking the cluster/);
  assert.match(all.output, /\(Sidecar\) Stored objects are not checked: sidecars is forbidden/);
});

test("precheck fails with the reason if the credentials are rejected, and does not call the cluster old", async () => {
  const refusal = JSON.stringify({ kind: "Status", message: "Unauthorized" });
  const statuses = { "/version": 401, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": 401 };
  const answers = { ...ready, "/version": refusal };
  assert.match(
    await refused("precheck", { answers, statuses }),
    /^the API server does not accept the credentials \(401, /,
  );
});
