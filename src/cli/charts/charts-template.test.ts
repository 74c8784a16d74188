import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { describeError } from "../../base/index.ts";
import { renderChartNamed, renderInstall, resolveSettings, revisionKinds } from "../../install/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";
import { helmFunctions } from "./helm-functions.ts";
import { ChartRenderer, ChartTemplates, renderChart } from "./render-chart.ts";

interface Rendered {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
}

async function template(line: string, files: Readonly<Record<string, string>> = {}): Promise<Rendered[]> {
  const context = new FakeContext({ files });
  await createProgram(context).parseAsync(["charts", "template", ...line.split(" ")], { from: "user" });
  return parseAllDocuments(context.output, { version: "1.1" }).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Rendered;
  });
}

async function refused(line: string, text: string): Promise<void> {
  await assert.rejects(template(line), (error) => {
    assert.equal(describeError(error), text);
    return true;
  });
}

test("a template's whitespace, variables, blocks, pipes and strings with braces are parsed as in helm", () => {
  const text = [
    '{{- define "greet" -}} hello {{ .name | default "you" }}{{- end -}}',
    "{{- $list := list 1 2 }}",
    "{{- range $index, $one := $list }}",
    "{{ $index }}={{ $one }}{{ if and (gt $one 1) true }}!{{ else if eq $one 1 }}?{{ end }}",
    "{{- end }}",
    '{{ include "greet" (dict "name" "Ann") | indent 2 }}',
    '{{ with .none }}no{{ else }}{{ "{{ kept }}" | quote }}{{ end }}',
    '{{ ($.tree).missing.deeper | default (printf "%s-%q" "a" "b") }}',
  ].join("\n");
  assert.equal(
    new ChartTemplates("test", [["all.yaml", text]]).render("all.yaml", { tree: {} }),
    '\n0=1?\n1=2!\n  hello Ann\n"{{ kept }}"\na-"b"',
  );
});

test("values named like members of JavaScript objects are ordinary values", () => {
  const target = {};
  helmFunctions["mergeOverwrite"]?.(target, JSON.parse('{ "__proto__": { "polluted": true } }'));
  assert.deepEqual(Object.entries(target), [["__proto__", { polluted: true }]]);
  assert.equal("polluted" in {}, false);
  const render = (text: string): string =>
    new ChartTemplates("test", [["a.yaml", text]]).render("a.yaml", { tree: {} });
  assert.equal(render("[{{ .tree.constructor }}{{ .constructor.name }}]"), "[]");
  assert.throws(
    () => render('{{ .tree.toString "x" }}'),
    /test\/a\.yaml: passes arguments to something that is not a function/,
  );
});

interface PodSpec {
  readonly containers: readonly {
    readonly name: string;
    readonly args: readonly string[];
    readonly imagePullPolicy?: string;
    readonly resources?: object;
    readonly env: readonly { readonly name: string; readonly value?: string }[];
  }[];
  readonly nodeSelector: object;
  readonly tolerations?: readonly { readonly key?: string }[] | null;
  readonly affinity?: object | null;
  readonly imagePullSecrets?: readonly object[] | null;
  readonly priorityClassName?: string;
}

function podOf(workload: Rendered | undefined): PodSpec {
  assert.ok(workload?.spec);
  return (workload.spec["template"] as { readonly spec: PodSpec }).spec;
}

test("values come from the chart, files, --set and --set-string, in this order", async () => {
  const objects = await template(
    "o istio-operator -n ops -f values.yaml --set prometheusMetrics.authProxy.enabled=false,operator.extraArgs={--a,--b=c} --set-string istioVersion=1.6",
    {
      "values.yaml": "istioVersion: '1.7'\nnodeSelector: { disk: ssd }\n",
    },
  );
  const set = objects.find(({ kind }) => kind === "StatefulSet");
  assert.deepEqual([set?.metadata.name, set?.metadata.namespace], ["o-istio-operator", "ops"]);
  const { containers, nodeSelector } = podOf(set);
  assert.deepEqual(
    containers.map(({ name }) => name),
    ["manager"],
  );
  assert.deepEqual(containers[0]?.args.slice(-3), ["--istio-version=1.6", "--a", "--b=c"]);
  assert.deepEqual(nodeSelector, { disk: "ssd" });
  const role = objects.find(({ kind }) => kind === "ClusterRole") as unknown as {
    rules: readonly { readonly resourceNames?: readonly string[] }[];
  };
  assert.deepEqual(
    role.rules.flatMap(({ resourceNames = [] }) => resourceNames),
    ["banzai-istio-operator-1-6"],
  );
});

test("ztunnel finds its control plane by the global namespace, unless it has its own", async () => {
  const addresses = async (flags: string): Promise<readonly (string | undefined)[]> => {
    const objects = await template(`ztunnel ztunnel -n ztunnel${flags}`);
    const [container] = podOf(objects.find(({ kind }) => kind === "DaemonSet")).containers;
    return ["XDS_ADDRESS", "CA_ADDRESS"].map((name) => container?.env.find((one) => one.name === name)?.value);
  };
  const at = (host: string): string[] => [`https://${host}:15012`, `https://${host}:15012`];
  assert.deepEqual(await addresses(" --set global.istioNamespace=mesh"), at("istiod.mesh.svc"));
  assert.deepEqual(
    await addresses(" --set global.istioNamespace=mesh --set istioNamespace=own --set revision=a"),
    at("istiod-a.own.svc"),
  );
  assert.deepEqual(await addresses(""), at("istiod.istio-system.svc"));
});

test("the agent's chart takes its update strategy under both of its names", async () => {
  const strategyOf = async (flags: string): Promise<unknown> => {
    const objects = await template(`r cni -n istio-system${flags}`);
    return objects.find(({ kind }) => kind === "DaemonSet")?.spec?.["updateStrategy"];
  };
  const rolling = (maxUnavailable: unknown): object => ({ type: "RollingUpdate", rollingUpdate: { maxUnavailable } });
  assert.deepEqual(await strategyOf(""), rolling(1));
  assert.deepEqual(await strategyOf(" --set rollingMaxUnavailable=3"), rolling(3));
  assert.deepEqual(await strategyOf(" --set updateStrategy.rollingUpdate.maxUnavailable=20%"), rolling("20%"));
  assert.deepEqual(await strategyOf(" --set updateStrategy.type=OnDelete"), { ...rolling(1), type: "OnDelete" });
});

test("a chart makes the objects that an installation makes", async () => {
  const { value: settings } = resolveSettings(
    { specs: [], setFlags: ["profile=ambient", "revision=canary"] },
    { hub: "docker.io/istio", tag: "1.18.1" },
  );
  assert.ok(settings);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  for (const [chart, component] of [
    ["istiod", "pilot"],
    ["cni", "cni"],
    ["ztunnel", "ztunnel"],
  ] as const) {
    const named = (objects: readonly { readonly kind?: string; readonly metadata: { readonly name?: string } }[]) =>
      objects.map(({ kind, metadata }) => `${kind ?? ""}/${metadata.name ?? ""}`).toSorted();
    const rendered = named(await template(`r ${chart} -n istio-system --set profile=ambient --set revision=canary`));
    const installed = named(components.find(({ name }) => name === component)?.objects ?? []);
    assert.deepEqual(
      rendered.filter((name) => !name.startsWith("PodDisruptionBudget/")),
      installed.filter((name) => !name.startsWith("PodDisruptionBudget/")),
      chart,
    );
  }
});

test("each chart with pods in the pod network makes their NetworkPolicy if global.networkPolicy asks for it", async () => {
  const policiesOf = async (chart: string, flags: string): Promise<unknown> => {
    const objects = await template(`r ${chart} -n istio-system${flags}`);
    return objects
      .filter(({ kind }) => kind === "NetworkPolicy")
      .map(({ metadata, spec }) => {
        const { ingress } = spec as unknown as { ingress: readonly { ports: readonly { port: number }[] }[] };
        return [metadata.name, ...ingress.flatMap(({ ports }) => ports.map(({ port }) => port))];
      });
  };
  const wanted = " --set global.networkPolicy.enabled=true";
  assert.deepEqual(await policiesOf("base", wanted), [["serin-rollout", 15_017, 15_014]]);
  assert.deepEqual(await policiesOf("istiod", `${wanted} --set revision=a`), [
    ["istiod-a", 8080, 15_010, 15_012, 15_017, 15_014],
  ]);
  assert.deepEqual(await policiesOf("ztunnel", wanted), [["ztunnel", 15_008, 15_020, 15_021]]);
  assert.deepEqual(await policiesOf("gateway", wanted), [["r", 15_020, 15_021, 15_090, 80, 443]]);
  for (const chart of ["base", "istiod", "cni", "ztunnel", "gateway"])
    assert.deepEqual(await policiesOf(chart, ""), [], chart);
});

test("every chart's pods pull with the mesh's secrets, and those that each node needs keep their priority", async () => {
  const flags = "--set global.imagePullSecrets={a,b},global.imagePullPolicy=Always,global.priorityClassName=mesh";
  const priorities: Record<string, unknown> = {};
  for (const chart of ["base", "istiod", "cni", "ztunnel"]) {
    const workloads = (await template(`r ${chart} -n istio-system ${flags}`)).filter(({ kind }) =>
      /^(Deployment|DaemonSet)$/.test(kind),
    );
    for (const workload of workloads) {
      const { imagePullSecrets, priorityClassName, containers } = podOf(workload);
      assert.deepEqual(imagePullSecrets, [{ name: "a" }, { name: "b" }], workload.metadata.name);
      assert.equal(containers[0]?.imagePullPolicy, "Always", workload.metadata.name);
      priorities[workload.metadata.name] = priorityClassName;
    }
  }
  assert.deepEqual(priorities, {
    "serin-rollout": "mesh",
    istiod: "mesh",
    "istio-cni-node": "system-node-critical",
    ztunnel: "system-node-critical",
  });
});

test("the engine and istiod run where the chart's own or the mesh's placement says, and nodes' pods on every node", async () => {
  const mesh =
    "--set global.defaultNodeSelector.pool=mesh --set global.defaultTolerations[0].key=dedicated --set global.defaultTolerations[0].operator=Exists";
  const linux = { "kubernetes.io/os": "linux" };
  const placeOf = async (chart: string, flags: string): Promise<unknown> => {
    const workload = (await template(`r ${chart} -n istio-system ${flags}`.trim())).find(({ kind }) =>
      /^(Deployment|DaemonSet)$/.test(kind),
    );
    assert.ok(workload);
    const { nodeSelector, tolerations } = podOf(workload);
    const own = (tolerations ?? []).filter(({ key }) => key !== "cni.istio.io/not-ready");
    return { nodeSelector, tolerations: own };
  };
  const dedicated = { key: "dedicated", operator: "Exists" };
  for (const chart of ["base", "istiod"]) {
    assert.deepEqual(await placeOf(chart, ""), { nodeSelector: linux, tolerations: [] }, chart);
    const placed = { nodeSelector: { ...linux, pool: "mesh" }, tolerations: [dedicated] };
    assert.deepEqual(await placeOf(chart, mesh), placed, chart);
    const at = chart === "base" ? "rollout." : "";
    const own = `${mesh} --set ${at}nodeSelector.pool=own --set ${at}tolerations[0].key=own`;
    const ownPlace = { nodeSelector: { ...linux, pool: "own" }, tolerations: [{ key: "own" }] };
    assert.deepEqual(await placeOf(chart, own), ownPlace, chart);
  }
  for (const chart of ["cni", "ztunnel"])
    assert.deepEqual(await placeOf(chart, mesh), { nodeSelector: linux, tolerations: [{ operator: "Exists" }] }, chart);
});

test("the engine has the resources and the affinity of base's values", async () => {
  const engineOf = async (flags: string) =>
    podOf((await template(`r base -n istio-system ${flags}`.trim())).find(({ kind }) => kind === "Deployment"));
  const usual = await engineOf("");
  assert.deepEqual(usual.containers[0]?.resources, { requests: { cpu: "20m", memory: "128Mi" } });
  assert.equal(usual.affinity ?? undefined, undefined);
  const chosen = await engineOf(
    "--set rollout.resources.limits.memory=1Gi --set rollout.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
  );
  assert.deepEqual(chosen.containers[0]?.resources, {
    requests: { cpu: "20m", memory: "128Mi" },
    limits: { memory: "1Gi" },
  });
  assert.deepEqual(chosen.affinity, {
    nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] },
  });
});

test("the node's pods get a quota where the platform or the values ask for one, as in an installation", async () => {
  for (const [chart, component, name] of [
    ["cni", "cni", "istio-cni-resource-quota"],
    ["ztunnel", "ztunnel", "ztunnel"],
  ] as const) {
    const quotaOf = async (flags: string): Promise<Rendered | undefined> =>
      (await template(`r ${chart} -n istio-system${flags}`)).find(({ kind }) => kind === "ResourceQuota");
    assert.equal(await quotaOf(""), undefined, chart);
    assert.equal((await quotaOf(" --set global.platform=gke"))?.metadata.name, name);
    assert.equal(await quotaOf(" --set global.platform=gke,resourceQuotas.enabled=false"), undefined, chart);
    const quota = await quotaOf(" --set resourceQuotas.enabled=true,resourceQuotas.pods=7");
    const { value: settings } = resolveSettings(
      { specs: [], setFlags: [`values.${chart}.resourceQuotas.enabled=true`, `values.${chart}.resourceQuotas.pods=7`] },
      { hub: "h", tag: "t" },
    );
    assert.ok(settings);
    const enabled = { ...settings, [chart]: { enabled: true } };
    const { components } = renderInstall(enabled, { istio: [], rollout: [] });
    const installed = components
      .find((one) => one.name === component)
      ?.objects.find(({ kind }) => kind === "ResourceQuota") as Rendered | undefined;
    assert.deepEqual([quota?.metadata.name, quota?.spec], [installed?.metadata.name, installed?.spec]);
    assert.deepEqual(quota?.spec, {
      hard: { pods: "7" },
      scopeSelector: {
        matchExpressions: [{ operator: "In", scopeName: "PriorityClass", values: ["system-node-critical"] }],
      },
    });
  }
});

test("istiod's budget takes the values pdb", async () => {
  const budgetOf = async (flags: string): Promise<unknown> => {
    const objects = await template(`r istiod -n istio-system --set autoscaleMin=2${flags}`);
    const { selector: _selector, ...budget } = objects.find(({ kind }) => kind === "PodDisruptionBudget")?.spec ?? {};
    return budget;
  };
  assert.deepEqual(await budgetOf(""), { minAvailable: 1 });
  assert.deepEqual(await budgetOf(",pdb.minAvailable=50%,pdb.unhealthyPodEvictionPolicy=AlwaysAllow"), {
    minAvailable: "50%",
    unhealthyPodEvictionPolicy: "AlwaysAllow",
  });
  assert.deepEqual(await budgetOf(",pdb.maxUnavailable=1"), { maxUnavailable: 1 });
});

test("accounts come before their users, and webhooks last", async () => {
  const kinds = (await template("istiod istio/istiod -n istio-system")).map(({ kind }) => kind);
  assert.deepEqual([kinds[0], kinds.at(-1)], ["ServiceAccount", "ValidatingWebhookConfiguration"]);
  assert.ok(kinds.indexOf("ConfigMap") < kinds.indexOf("Deployment"));
});

test("an invalid chart, release, flag or value is rejected, and the error names it", async () => {
  await refused(
    "r istoid",
    'there is no chart "istoid"; did you mean "istiod"?\n  hint: the charts are base, istiod, cni, ztunnel, gateway, istio-operator',
  );
  await refused("R istiod", 'a release name has at most 53 lower-case letters, digits, dashes and dots, got "R"');
  await refused(
    "r istiod --set revision",
    '--set revision: "revision" must be path=value\n  hint: --set operator.image.tag=0.6.12',
  );
  await refused(
    "r istiod --set revision=17",
    "values of istiod: revision must be a string, got 17\n  hint: --set-string revision=17",
  );
  await refused("r istiod --set profile=ambiant", 'there is no profile "ambiant"');
});

test("a chart takes the platform from either of upstream's two places, and the user's values override the platform's", async () => {
  const contextOf = async (flags: string): Promise<unknown> => {
    const objects = await template(`ztunnel ztunnel ${flags}`);
    const pod = podOf(objects.find(({ kind }) => kind === "DaemonSet"));
    return (pod.containers[0] as unknown as { securityContext: Record<string, unknown> }).securityContext[
      "seLinuxOptions"
    ];
  };
  for (const place of ["global.platform", "platform"])
    assert.deepEqual(await contextOf(`--set ${place}=openshift`), { type: "spc_t" }, place);
  assert.deepEqual(await contextOf("--set platform=openshift --set seLinuxOptions.type=own_t"), { type: "own_t" });
  const rolesOf = async (flags: string): Promise<string[]> =>
    (await template(`cni cni${flags}`))
      .filter(({ kind, metadata }) => kind === "ClusterRole" && metadata.name.includes("constraints"))
      .map(({ metadata }) => metadata.name);
  assert.deepEqual(await rolesOf(" --set platform=openshift"), ["istio-cni-context-constraints"]);
  assert.deepEqual(await rolesOf(""), []);
});

test("the agent's SELinux options without a type leave it unconfined, as it is without options", async () => {
  const contextOf = async (flags: string): Promise<unknown> => {
    const [container] = podOf((await template(`cni cni${flags}`)).find(({ kind }) => kind === "DaemonSet")).containers;
    return (container as unknown as { securityContext: Record<string, unknown> }).securityContext["seLinuxOptions"];
  };
  assert.deepEqual(await contextOf(" --set seLinuxOptions.level=s0"), { level: "s0", type: "spc_t" });
  assert.deepEqual(await contextOf(" --set seLinuxOptions.type=own_t"), { type: "own_t" });
  assert.deepEqual(await contextOf(""), { type: "spc_t" });
});

test("numbers and percentages of rolling updates keep their type, and a 0 of the user's is no absent value", async () => {
  const strategyOf = async (chart: string, kind: string, flags: string): Promise<unknown> => {
    const workload = (await template(`r ${chart}${flags}`)).find((object) => object.kind === kind);
    const { strategy, updateStrategy } = workload?.spec ?? {};
    return ((strategy ?? updateStrategy) as { rollingUpdate: unknown }).rollingUpdate;
  };
  assert.deepEqual(await strategyOf("istiod", "Deployment", ""), { maxSurge: "100%", maxUnavailable: "25%" });
  assert.deepEqual(await strategyOf("istiod", "Deployment", " --set rollingMaxSurge=1 --set rollingMaxUnavailable=0"), {
    maxSurge: 1,
    maxUnavailable: 0,
  });
  assert.deepEqual(await strategyOf("ztunnel", "DaemonSet", ""), { maxSurge: 1, maxUnavailable: 0 });
  const inPlace =
    " --set updateStrategy.rollingUpdate.maxSurge=0 --set updateStrategy.rollingUpdate.maxUnavailable=50%";
  assert.deepEqual(await strategyOf("ztunnel", "DaemonSet", inPlace), { maxSurge: 0, maxUnavailable: "50%" });
  assert.deepEqual(await strategyOf("cni", "DaemonSet", " --set rollingMaxUnavailable=10%"), { maxUnavailable: "10%" });
});

test("a gateway has replicas only in a Deployment without an autoscaler, and an autoscaler only with a Deployment", async () => {
  const made = async (flags: string): Promise<unknown> => {
    const objects = await template(`gw gateway -n ingress${flags}`);
    const workload = objects.find(({ kind }) => kind === "Deployment" || kind === "DaemonSet");
    const scaler = objects.find(({ kind }) => kind === "HorizontalPodAutoscaler");
    return [workload?.kind, workload?.spec?.["replicas"], scaler?.kind];
  };
  const fixed = " --set autoscaling.enabled=false";
  assert.deepEqual(await made(""), ["Deployment", undefined, "HorizontalPodAutoscaler"]);
  assert.deepEqual(await made(" --set kind=DaemonSet"), ["DaemonSet", undefined, undefined]);
  assert.deepEqual(await made(` --set kind=DaemonSet${fixed} --set replicaCount=2`), [
    "DaemonSet",
    undefined,
    undefined,
  ]);
  assert.deepEqual(await made(fixed), ["Deployment", undefined, undefined]);
  assert.deepEqual(await made(`${fixed} --set replicaCount=null`), ["Deployment", undefined, undefined]);
  assert.deepEqual(await made(`${fixed} --set replicaCount=0`), ["Deployment", 0, undefined]);
});

test("a gateway gets a budget only with a second pod, so that the node of its only pod can be drained", async () => {
  const budgets = async (flags: string): Promise<number> => {
    const objects = await template(`gw gateway -n ingress --set podDisruptionBudget.minAvailable=1${flags}`);
    return objects.filter(({ kind }) => kind === "PodDisruptionBudget").length;
  };
  assert.equal(await budgets(""), 0);
  assert.equal(await budgets(" --set autoscaling.enabled=false"), 0);
  assert.equal(await budgets(" --set autoscaling.minReplicas=2"), 1);
  assert.equal(await budgets(" --set autoscaling.enabled=false --set replicaCount=2"), 1);
});

test("upstream's empty values of a gateway's Service, and fields of another type of Service, are left out", async () => {
  const upstream = `
    service:
      type: ClusterIP
      clusterIP: ""
      loadBalancerClass: internal
      loadBalancerSourceRanges: []
      allocateLoadBalancerNodePorts: false
      healthCheckNodePort:
      externalIPs: []
      ipFamilyPolicy: ""
      ipFamilies: []
  `;
  const fieldsOf = async (flags: string): Promise<readonly string[]> => {
    const objects = await template(`gw gateway -n ingress -f upstream.yaml${flags}`, { "upstream.yaml": upstream });
    return Object.keys(objects.find(({ kind }) => kind === "Service")?.spec ?? {}).sort();
  };
  assert.deepEqual(await fieldsOf(""), ["ports", "selector", "type"]);
  assert.deepEqual(await fieldsOf(" --set service.type=LoadBalancer --set service.ipFamilyPolicy=PreferDualStack"), [
    "allocateLoadBalancerNodePorts",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "ports",
    "selector",
    "type",
  ]);
  await refused(
    "gw gateway -n ingress --set service.ports=null",
    "service.ports: must list the ports of the Service, because networkGateway is not set",
  );
});

test("an autoscaler without a share of the CPU scales by the memory alone", async () => {
  const flags =
    "--set autoscaling.targetCPUUtilizationPercentage=null --set autoscaling.targetMemoryUtilizationPercentage=70";
  const objects = await template(`gw gateway -n ingress ${flags}`);
  const scaler = objects.find(({ kind }) => kind === "HorizontalPodAutoscaler")?.spec as {
    readonly metrics: readonly { readonly resource: { readonly name: string } }[];
  };
  assert.deepEqual(
    scaler.metrics.map(({ resource }) => resource.name),
    ["memory"],
  );
});

test("null takes a limit of a container away, in each chart", async () => {
  for (const [chart, kind] of [
    ["gateway", "Deployment"],
    ["istiod", "Deployment"],
    ["ztunnel", "DaemonSet"],
    ["cni", "DaemonSet"],
  ] as const) {
    const values = "resources: { requests: { memory: 9Mi }, limits: { cpu: null, memory: 1Gi } }";
    const objects = await template(`r ${chart} -f own.yaml`, { "own.yaml": values });
    const [container] = podOf(objects.find((object) => object.kind === kind)).containers;
    const { limits, requests } = (container as unknown as { resources: Record<string, Record<string, string>> })
      .resources;
    assert.deepEqual([limits, requests?.["memory"]], [{ memory: "1Gi" }, "9Mi"], chart);
  }
});

test("null removes a default that an earlier file of values does not name", async () => {
  const limitsOf = async (...files: readonly string[]): Promise<unknown> => {
    const named = Object.fromEntries(files.map((text, index) => [`${index}.yaml`, text]));
    const flags = Object.keys(named).map((file) => ` -f ${file}`);
    const objects = await template(`r gateway${flags.join("")}`, named);
    const [container] = podOf(objects.find(({ kind }) => kind === "Deployment")).containers;
    return (container as unknown as { readonly resources?: { readonly limits?: object } }).resources?.limits;
  };
  const withoutProcessorLimit = "resources: { limits: { cpu: null } }";
  assert.deepEqual(await limitsOf("resources: { limits: { memory: 2Gi } }", withoutProcessorLimit), { memory: "2Gi" });
});

test("a label, an annotation, a node's label or a variable of the user's replaces the chart's own, and stands there once", async () => {
  interface Template {
    readonly metadata: { readonly labels: Record<string, string>; readonly annotations: Record<string, string> };
    readonly spec: {
      readonly nodeSelector: Record<string, string>;
      readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value?: string }[] }[];
    };
  }
  const templateOf = (objects: readonly Rendered[], kind: string): Template => {
    const found = objects.find((object) => object.kind === kind);
    assert.ok(found?.spec);
    return found.spec["template"] as Template;
  };
  const own = `
    podLabels: { istio.io/dataplane-mode: ambient, tier: 1 }
    podAnnotations: { prometheus.io/scrape: false, prometheus.io/path: null }
    nodeSelector: { kubernetes.io/os: linux, gpu: true }
    env: { CLUSTER_ID: far, ISTIO_META_CLUSTER_ID: far, REVISION: other }
  `;
  for (const [chart, kind] of [
    ["istiod", "Deployment"],
    ["ztunnel", "DaemonSet"],
  ] as const) {
    const objects = await template(`r ${chart} -f own.yaml`, { "own.yaml": own });
    const { metadata, spec } = templateOf(objects, kind);
    assert.equal(metadata.labels["istio.io/dataplane-mode"], "ambient");
    assert.equal(metadata.labels["tier"], "1");
    assert.equal(metadata.annotations["prometheus.io/scrape"], "false");
    assert.equal(Object.hasOwn(metadata.annotations, "prometheus.io/path"), false);
    assert.deepEqual(spec.nodeSelector, { "kubernetes.io/os": "linux", gpu: "true" });
    const variables = spec.containers[0]?.env ?? [];
    const names = variables.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)], chart);
    assert.equal(variables.find(({ name }) => name === "REVISION")?.value, "other");
  }
  const gateway = await template("gw gateway -n ingress -f own.yaml", {
    "own.yaml": 'labels: { "istio.io/dataplane-mode": ambient, zone: 7 }',
  });
  const { metadata } = templateOf(gateway, "Deployment");
  assert.deepEqual([metadata.labels["istio.io/dataplane-mode"], metadata.labels["zone"]], ["ambient", "7"]);
});

test("the agent's variables of the user's replace those of the chart, and are texts", async () => {
  const values = "env: { AMBIENT_DNS_CAPTURE: false, OWN: true }";
  const objects = await template("r cni -f own.yaml", { "own.yaml": values });
  const { AMBIENT_DNS_CAPTURE, AMBIENT_IPV6, OWN } = objects.find(({ kind }) => kind === "ConfigMap")?.data ?? {};
  assert.deepEqual([AMBIENT_DNS_CAPTURE, AMBIENT_IPV6, OWN], ["false", "true", "true"]);
});

test("a gateway's pod has no token for the API server, unless it has containers of the user's own", async () => {
  const mounts = async (flags: string): Promise<unknown> => {
    const objects = await template(`gw gateway -n ingress${flags}`);
    const pod = podOf(objects.find(({ kind }) => kind === "Deployment"));
    return (pod as unknown as Record<string, unknown>)["automountServiceAccountToken"];
  };
  assert.equal(await mounts(""), false);
  assert.equal(await mounts(" --set additionalContainers[0].name=own"), undefined);
  assert.equal(await mounts(" --set initContainers[0].name=own"), undefined);
});

test("a chart's hooks are no objects to apply, because only helm knows when to run them", async () => {
  const kinds = new Set((await template("istio-base base -n istio-system")).map(({ kind }) => kind));
  assert.ok(kinds.has("Deployment") && !kinds.has("Job"));
});

test("a release's values change nothing of the next release of the same chart", () => {
  const chart = renderChartNamed("istiod", noDefinitions);
  assert.ok(chart);
  const release = { name: "r", namespace: "istio-system", values: {}, skipDefinitions: false };
  const renderer = new ChartRenderer(chart);
  const values = { profile: "ambient", global: { platform: "gke" }, meshConfig: { trustDomain: "other" } };
  assert.match(renderer.render({ ...release, values }), /trustDomain: other/);
  assert.equal(renderer.render(release), renderChart(chart, release));
});

const noDefinitions = { hub: "h", version: "1.2.3", customResources: { istio: [], rollout: [], banzai: [] } };

/**
 * The number of objects of a kind that a chart's template writes if an object with these annotations already exists.
 */
function writtenBeside(
  name: string,
  file: string,
  kind: string,
): (annotations: Record<string, string> | undefined) => number {
  const chart = renderChartNamed(name, noDefinitions);
  const files = [...(chart?.files ?? [])].filter(([path]) => path.startsWith("templates/") && !path.endsWith(".txt"));
  return (annotations) => {
    const present = annotations === undefined ? {} : { metadata: { name: "there", annotations } };
    const functions = { ...helmFunctions, lookup: () => present };
    const text = new ChartTemplates(name, files, functions).render(file, {
      Values: parse(chart?.files.get("values.yaml") ?? "") as Record<string, unknown>,
      Release: { Name: "mine", Namespace: "istio-system", Service: "Helm", IsUpgrade: true },
      Files: { Get: () => "" },
    });
    return text.split(new RegExp(`^kind: ${kind}$`, "m")).length - 1;
  };
}

test("base refuses an installation while the engine's namespace of an earlier one is being deleted", () => {
  const chart = renderChartNamed("base", noDefinitions);
  const files = [...(chart?.files ?? [])].filter(([path]) => path.startsWith("templates/") && !path.endsWith(".txt"));
  const namespace = { metadata: { name: "serin-system", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const lookup = (_version: unknown, kind: unknown) => (kind === "Namespace" ? namespace : {});
  const templates = new ChartTemplates("base", files, { ...helmFunctions, lookup });
  assert.throws(
    () =>
      templates.render("templates/rollout.yaml", {
        Values: parse(chart?.files.get("values.yaml") ?? "") as Record<string, unknown>,
        Release: { Name: "mine", Namespace: "istio-system", Service: "Helm", IsInstall: true },
        Files: { Get: () => "" },
      }),
    /serin-system is being deleted.*kubectl wait --for=delete namespace\/serin-system/,
  );
});

const ownedBy = (name: string, namespace: string) => ({
  "meta.helm.sh/release-name": name,
  "meta.helm.sh/release-namespace": namespace,
});

test("base leaves the engine's namespace alone if somebody else made it, for example to hold the Secret of the registry", () => {
  const namespaces = writtenBeside("base", "templates/rollout.yaml", "Namespace");
  assert.equal(namespaces(undefined), 1);
  assert.equal(namespaces({}), 0);
  assert.equal(namespaces(ownedBy("mine", "istio-system")), 1);
  assert.equal(namespaces(ownedBy("secrets", "istio-system")), 0);
});

test("a second release of ztunnel uses the account of the first, which stays when that release is removed", async () => {
  const accounts = writtenBeside("ztunnel", "templates/ztunnel.yaml", "ServiceAccount");
  assert.equal(accounts(undefined), 1);
  assert.equal(accounts(ownedBy("mine", "istio-system")), 1);
  assert.equal(accounts(ownedBy("another", "istio-system")), 0);
  assert.equal(accounts({}), 0, "serin install made it");
  for (const [platform, others] of [
    ["", []],
    ["openshift", ["ClusterRole", "ClusterRoleBinding"]],
    ["gke", ["ResourceQuota"]],
  ] as const) {
    const objects = await template(`next ztunnel -n istio-system --set revision=next,global.platform=${platform}`);
    const kept = objects.filter(({ metadata }) => metadata.annotations?.["helm.sh/resource-policy"] === "keep");
    assert.deepEqual(kept.map(({ kind }) => kind).toSorted(), [...others, "ServiceAccount"].toSorted());
  }
});

test("after a revision is retired, helm has its tags and what ztunnels share, as the guide says", async () => {
  const istiod = await template(
    "istiod istiod -n istio-system --set profile=stable --set autoscaleMin=2 --set revisionTags={prod}",
  );
  const ztunnel = await template(
    "ztunnel ztunnel -n istio-system --set global.platform=openshift --set resourceQuotas.enabled=true",
  );
  const kinds = new Set(revisionKinds.map(({ kind }) => kind));
  const isRetired = ({ kind, metadata: { labels = {} } }: Rendered): boolean =>
    kinds.has(kind) &&
    labels["istio.io/rev"] === "default" &&
    ["Pilot", "Ztunnel"].includes(labels["operator.istio.io/component"] ?? "") &&
    labels["istio.io/tag"] === undefined;
  const leftIn = (objects: readonly Rendered[]): string[] =>
    objects.filter((object) => !isRetired(object)).map(({ kind, metadata: { name } }) => `${kind}/${name}`);
  assert.deepEqual(leftIn(istiod), [
    "Service/istiod-revision-tag-prod",
    "MutatingWebhookConfiguration/istio-revision-tag-prod",
  ]);
  assert.deepEqual(leftIn(ztunnel), [
    "ServiceAccount/ztunnel",
    "ClusterRole/ztunnel-context-constraints",
    "ClusterRoleBinding/ztunnel-context-constraints",
    "ResourceQuota/ztunnel",
  ]);
  const shared = ztunnel.filter((object) => !isRetired(object));
  assert.ok(shared.every(({ metadata }) => metadata.annotations?.["helm.sh/resource-policy"] === "keep"));
});

test("the schemas of the charts refuse a value of another type than its key's, at any depth", async () => {
  const faults = [
    ["istiod --set autoscaleMin=two", 'istiod: autoscaleMin must be a whole number from 0 on, got "two"'],
    [
      "istiod --set-string autoscaleEnabled=false",
      'istiod: autoscaleEnabled must be true or false, without quotes, got "false"',
    ],
    [
      "istiod --set global.configValidation=maybe",
      'istiod: global.configValidation must be true or false, without quotes, got "maybe"',
    ],
    [
      "istiod --set-string rollingMaxSurge=2",
      'istiod: rollingMaxSurge must be a whole number or a percentage such as 25%, got "2"',
    ],
    ["istiod --set traceSampling=500", "istiod: traceSampling must be a number from 0 to 100, got 500"],
    ["istiod --set pilot.traceSampling=-1", "istiod: pilot.traceSampling must be a number from 0 to 100, got -1"],
    ["istiod --set env.PILOT_HTTP10=maybe", 'istiod: env.PILOT_HTTP10 must be true or false, got "maybe"'],
    ["istiod --set global.imagePullSecrets=own", 'istiod: global.imagePullSecrets must be a list, got "own"'],
    ["cni --set ambient.enabled=1", "cni: ambient.enabled must be true or false, without quotes, got 1"],
    [
      "ztunnel --set terminationGracePeriodSeconds=soon",
      'ztunnel: terminationGracePeriodSeconds must be a whole number from 0 on, got "soon"',
    ],
    [
      "gateway --set autoscaling.enabled=maybe",
      'gateway: autoscaling.enabled must be true or false, without quotes, got "maybe"',
    ],
    [
      "base --set base.rolloutRoles=maybe",
      'base: base.rolloutRoles must be true or false, without quotes, got "maybe"',
    ],
  ] as const;
  for (const [line, fault] of faults) await refused(`mesh ${line}`, `values of ${fault}`);
  const scaled = await template("mesh istiod --set-string autoscaleMin=3 --set rollingMaxUnavailable=25%");
  assert.equal(scaled.find(({ kind }) => kind === "HorizontalPodAutoscaler")?.spec?.["minReplicas"], 3);
});

test("the gateway's chart accepts Istio's default of the share of memory, which is none", async () => {
  const values = "autoscaling: { targetMemoryUtilizationPercentage: {} }\n";
  const metricsOf = async (line: string): Promise<unknown> =>
    (await template(line, { "values.yaml": values })).find(({ kind }) => kind === "HorizontalPodAutoscaler")?.spec?.[
      "metrics"
    ];
  assert.deepEqual(await metricsOf("mesh gateway -f values.yaml"), await metricsOf("mesh gateway"));
  await refused(
    "mesh gateway --set autoscaling.targetMemoryUtilizationPercentage.of=80",
    'values of gateway: autoscaling.targetMemoryUtilizationPercentage must be a whole number from 0 on, got {"of":80}',
  );
});

test("the schemas of the charts accept an empty text for a value that is not set", async () => {
  const values = `
    pdb: { minAvailable: "", maxUnavailable: 1 }
    global: { imagePullSecrets: "", meshNetworks: "", proxy: { privileged: "" }, waypoint: "" }
    traceSampling: ""
    rollingMaxSurge: ""
  `;
  const budgets = (await template("mesh istiod -f v.yaml --set autoscaleMin=2", { "v.yaml": values })).filter(
    ({ kind }) => kind === "PodDisruptionBudget",
  );
  assert.deepEqual(
    budgets.map(({ spec }) => [spec?.["minAvailable"], spec?.["maxUnavailable"]]),
    [[undefined, 1]],
  );
  const gateway = await template(
    "mesh gateway --set replicaCount= --set autoscaling.enabled=false --set rbac.enabled=",
  );
  assert.deepEqual(
    gateway.filter(({ kind }) => kind === "Deployment").map(({ spec }) => Object.hasOwn(spec ?? {}, "replicas")),
    [false],
  );
});

test("the text true counts as true in the charts, as after helm's --set-string, and false is refused", async ({
  mock,
}) => {
  // ConfigMaps contain the values as given, the text "true" or the boolean, so they differ. The injector reads both in
  // the same way.
  const objectsOf = async (line: string): Promise<Rendered[]> =>
    (await template(`mesh ${line}`)).filter(({ kind }) => kind !== "ConfigMap");
  // Helm's own `ternary` accepts only a boolean as its condition.
  mock.method(helmFunctions, "ternary", (yes: unknown, no: unknown, condition: unknown) => {
    assert.equal(typeof condition, "boolean");
    return condition === true ? yes : no;
  });
  for (const [chart, flags] of [
    [
      "gateway --set podDisruptionBudget.minAvailable=1",
      "rbac.enabled=true,serviceAccount.create=true,autoscaling.enabled=true",
    ],
    ["istiod", "autoscaleEnabled=true,global.configValidation=true"],
    ["ztunnel", "global.logAsJson=true,resourceQuotas.enabled=true"],
    ["cni", "global.logAsJson=true,chained=true,repair.enabled=true"],
    ["istio-operator", "rbac.enabled=true,prometheusMetrics.enabled=true,prometheusMetrics.authProxy.enabled=true"],
  ] as const)
    assert.deepEqual(
      await objectsOf(`${chart} --set-string ${flags}`),
      await objectsOf(`${chart} --set ${flags}`),
      chart,
    );
  await refused(
    "mesh gateway --set-string rbac.enabled=false",
    'values of gateway: rbac.enabled must be true or false, without quotes, got "false"',
  );
});
