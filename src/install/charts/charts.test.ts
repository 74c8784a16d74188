import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { UntypedObject } from "../../api/index.ts";
import { undoFinalizer } from "../../api/serin/index.ts";
import { renderCharts } from "./index.ts";
import { TemplateMarks } from "./template-marks.ts";

const definition = (name: string) => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name },
});
const charts = renderCharts({
  hub: "h",
  version: "1.2.3",
  customResources: {
    istio: [definition("virtualservices.networking.istio.io")],
    rollout: [definition("canaries.rollout.serin.dev")],
    banzai: [definition("istios.istio.banzaicloud.io")],
  },
});
const fileOf = (chart: string, path: string): string =>
  charts.find(({ name }) => name === chart)?.files.get(path) ?? "";

test("every chart is complete, and no template contains a placeholder", () => {
  assert.deepEqual(
    charts.map(({ name, version }) => `${name} ${version}`),
    ["base 1.2.3", "istiod 1.2.3", "cni 1.2.3", "ztunnel 1.2.3", "gateway 1.2.3", "istio-operator 0.0.69"],
  );
  for (const { name, files } of charts) {
    const { apiVersion, name: named } = parse(files.get("Chart.yaml") ?? "") as Record<string, string>;
    assert.deepEqual([apiVersion, named], ["v2", name]);
    assert.equal((JSON.parse(files.get("values.schema.json") ?? "") as { type: string }).type, "object");
    for (const [path, text] of files) assert.doesNotMatch(text, /⟦|⟧|\b9000000\d\d\b/, `${name}/${path}`);
    const templates = [...files].filter(([path]) => path.startsWith("templates/"));
    for (const [path, text] of templates)
      assert.equal(text.split("{{").length, text.split("}}").length, `${name}/${path}`);
  }
});

/** Functions of Helm that return something else each time. */
const changing = /\b(?:rand\w+|now|ago|uuidv4|shuffle|gen(?:CA|PrivateKey|SelfSigned|Signed)\w*|bcrypt|htpasswd)\b/;

test("a chart renders the same objects each time, also without a cluster, so that GitOps tools find no difference", () => {
  const lookups: string[] = [];
  for (const { name, files } of charts)
    for (const [path, text] of files) {
      if (!path.startsWith("templates/")) continue;
      for (const [action] of text.matchAll(/\{\{.*?\}\}/gs)) {
        // Skip quoted texts, because they call no functions.
        assert.doesNotMatch(action.replaceAll(/"(?:\\.|[^"\\])*"/g, '""'), changing, `${name}/${path}`);
        const kind = /\blookup "[^"]*" (\S+)/.exec(action)?.[1];
        if (kind !== undefined) lookups.push(`${name} ${kind}`);
      }
    }
  // docs/gitops.md says what these look-ups mean for tools that render without a cluster.
  const known = ["base $kind", 'base "Namespace"', 'istiod "Deployment"', 'ztunnel "ServiceAccount"'];
  assert.deepEqual([...new Set(lookups)].sort(), known.sort());
});

test("values reach names, images, sizes and environment", () => {
  const istiod = fileOf("istiod", "templates/istiod.yaml");
  assert.match(istiod, /name: "istiod-\{\{ \$v\.revision \}\}"/);
  assert.match(
    istiod,
    /image: "\{\{ \$v\.hub \| default \$v\.global\.hub \}\}\/\{\{ \$v\.image \}\}:\{\{ \$v\.tag \| default \$v\.global\.tag \}\}"/,
  );
  assert.match(
    istiod,
    /\{\{- with include "serin\.resources" \(\$v\.resources \| default dict\) \| fromYaml \}\}\{\{ toYaml \. \| nindent \d+ \}\}\{\{- end \}\}/,
  );
  assert.match(
    istiod,
    /\{\{- range \$name, \$value := \$v\.env \}\}\n +- name: \{\{ \$name \}\}\n +value: \{\{ \$value \| quote \}\}/,
  );
  assert.match(
    istiod,
    /apiGroups:\n +- "?\{\{ \$v\.env\.MCS_API_GROUP \| default "multicluster\.x-k8s\.io" \| quote \}\}"?\n +resources:\n +- serviceexports/,
  );
  assert.match(istiod, /\{\{- if and \$v\.global\.defaultPodDisruptionBudget\.enabled/);
});

test("an unnamed istiod keeps the selector of the existing Deployment, which no upgrade may change", () => {
  const kept = /selector:\n +matchLabels:\n +\{\{- with include "serin\.pilot\.selector" \$ \| fromYaml \}\}/;
  assert.match(fileOf("istiod", "templates/istiod.yaml"), kept);
  assert.match(
    fileOf("istiod", "templates/_helpers.tpl"),
    /\{\{- if \$present \}\}\{\{ toYaml \$present\.spec\.selector\.matchLabels \}\}/,
  );
});

test("the profile stable adds the policies of the stable channel", () => {
  const policy =
    /\{\{- if \$v\.experimental\.stableValidationPolicy \}\}\n(?:\{\{- if .*\n)?---\n.*\nkind: ValidatingAdmissionPolicy\n/;
  for (const chart of ["base", "istiod"]) {
    assert.match(fileOf(chart, `templates/${chart}.yaml`), policy);
    const profile = parse(fileOf(chart, "files/profile-stable.yaml")) as { experimental?: unknown };
    assert.deepEqual(profile.experimental, { stableValidationPolicy: true });
  }
});

test("the charts of a mesh know the same profiles, because they get the same values", () => {
  const profilesOf = (chart: string): string[] =>
    [...(charts.find(({ name }) => name === chart)?.files.keys() ?? [])].filter((path) =>
      path.startsWith("files/profile-"),
    );
  assert.ok(profilesOf("base").includes("files/profile-stable.yaml"));
  for (const chart of ["istiod", "cni", "ztunnel", "gateway"])
    assert.deepEqual(profilesOf(chart), profilesOf("base"), chart);
});

test("each chart of a mesh has a file for each platform, and refuses other platforms", () => {
  for (const { name, files } of charts.filter((chart) => chart.name !== "istio-operator")) {
    for (const platform of ["gke", "k3d", "k3s", "microk8s", "minikube", "openshift"])
      assert.ok(files.has(`files/platform-${platform}.yaml`), `${name} ${platform}`);
    assert.match(files.get("templates/_helpers.tpl") ?? "", /fail \(printf "there is no platform %q/);
  }
});

test("istiod's chart has the values of each version whose behaviour a user may ask for, and refuses others", () => {
  assert.match(fileOf("istiod", "files/compatibility-version-1.27.yaml"), /DISABLE_SHADOW_HOST_SUFFIX: "false"/);
  assert.doesNotMatch(fileOf("istiod", "files/compatibility-version-1.28.yaml"), /DISABLE_SHADOW_HOST_SUFFIX/);
  assert.match(fileOf("istiod", "templates/_helpers.tpl"), /fail \(printf "there is no compatibility version %q"/);
});

test("istiod's chart trusts the ztunnel that its values name", () => {
  assert.match(
    fileOf("istiod", "templates/istiod.yaml"),
    /name: CA_TRUSTED_NODE_ACCOUNTS\n +value: "\{\{ \$v\.trustedZtunnelNamespace \| default \$\.Release\.Namespace \}\}\/\{\{ \$v\.trustedZtunnelName \| default "ztunnel" \}\}"/,
  );
});

test("a revision's tags have their webhooks and their Services in files of upstream's names", () => {
  const each = /\{\{- range \$tag := \$v\.revisionTags \}\}/;
  const webhooks = fileOf("istiod", "templates/revision-tags-mwc.yaml");
  const services = fileOf("istiod", "templates/revision-tags-svc.yaml");
  assert.match(webhooks, each);
  assert.match(services, each);
  const kindsOf = (text: string): Set<string> => new Set(text.match(/^kind: .*$/gm));
  assert.deepEqual([...kindsOf(webhooks)], ["kind: MutatingWebhookConfiguration"]);
  assert.deepEqual([...kindsOf(services)], ["kind: Service"]);
});

test("an upgrade of base or istiod leaves the failure policy of validation to the control plane, unless the values set it", () => {
  const policy =
    /\{\{- with \$v\.base\.validationFailurePolicy \| default \(ternary "" "Ignore" \$\.Release\.IsUpgrade\) \}\}\n? *failurePolicy: /;
  assert.match(fileOf("base", "templates/base.yaml"), policy);
  assert.match(fileOf("istiod", "templates/istiod.yaml"), policy);
});

test("a network gateway has its labels, its ports and its network view", () => {
  const template = fileOf("gateway", "templates/gateway.yaml");
  assert.match(template, /\{\{- with \$v\.networkGateway \}\}\n +topology\.istio\.io\/network: /);
  assert.match(
    template,
    /range \$name, \$value := merge \(ternary \(dict "ISTIO_META_REQUESTED_NETWORK_VIEW" \$v\.networkGateway\)/,
  );
  assert.match(
    fileOf("gateway", "templates/_helpers.tpl"),
    /- name: \{\{ \$name \}\}\n {2}port: \{\{ \$port\.port \}\}/,
  );
});

test("ztunnel's network comes from its own values, else from the mesh's", () => {
  assert.match(
    fileOf("ztunnel", "templates/ztunnel.yaml"),
    /- name: NETWORK\n +value: \{\{ \$v\.network \| default \$v\.global\.network \| quote \}\}/,
  );
});

test("the operator's chart includes its CRDs, and accepts image and release like Banzai Cloud's", () => {
  const chart = charts.find(({ name }) => name === "istio-operator");
  assert.deepEqual(
    [...(chart?.files.keys() ?? [])].filter((path) => path.startsWith("crds/")),
    ["crds/istios.istio.banzaicloud.io.yaml"],
  );
  const template = fileOf("istio-operator", "templates/operator-statefulset.yaml");
  assert.match(
    template,
    /image: "\{\{ \$\.Values\.operator\.image\.repository \}\}:\{\{ \$\.Values\.operator\.image\.tag \}\}"/,
  );
  assert.match(template, /--istio-version=\{\{ \$\.Values\.istioVersion \}\}/);
  assert.match(template, /\{\{- if and \$\.Values\.prometheusMetrics\.enabled[^\n]*\n +- name: kube-rbac-proxy/);
});

test("a chart's CRDs stay when it is uninstalled, and have the labels by which the guide and the installer find them", () => {
  for (const file of ["crds.yaml", "rollout-crds.yaml"]) {
    const { metadata } = JSON.parse(fileOf("base", `files/${file}`).replace(/^---\n/, "")) as UntypedObject;
    assert.deepEqual(
      [metadata.labels, metadata.annotations],
      [
        { "app.kubernetes.io/part-of": "istio", "app.kubernetes.io/version": "1.2.3" },
        { "helm.sh/resource-policy": "keep", "serin.dev/release": "1.2.3" },
      ],
    );
  }
});

test("helm asks the engine before it uninstalls base, in a pod like the engine's that prefers the engine's node", () => {
  const templates = fileOf("base", "templates/rollout.yaml").split("---\n");
  const job = templates.find((text) => text.includes("kind: Job")) ?? "";
  assert.match(job, /helm\.sh\/hook: pre-delete/);
  assert.match(job, /image: "\{\{ \$v\.global\.hub \}\}\/serin:\{\{ \$v\.global\.tag \}\}"/);
  assert.match(job, /args:\n +- rollout\n +- removal\n/);
  assert.match(job, /serviceAccountName: serin-rollout\n/);
  assert.match(
    job,
    /with \$v\.rollout\.affinity \| default \(.*kubernetes\.io\/hostname.*serin-rollout.* \| fromJson\)/,
  );
  // The engine's Service and selector must not find the Job's pod.
  assert.match(job, /\n {8}app: serin-rollout-removal\n/);
});

test("a removal check that somebody applied without helm disappears, so that the next release can be applied", () => {
  assert.match(fileOf("base", "templates/rollout.yaml"), /\n {2}backoffLimit: 0\n {2}ttlSecondsAfterFinished: \d+\n/);
});

test("the roles with which teams use rollouts may be left out of base", () => {
  const template = fileOf("base", "templates/rollout.yaml");
  assert.equal(template.match(/\{\{- if \$v\.base\.rolloutRoles \}\}\n---\n(?:.*\n)*?kind: ClusterRole\n/g)?.length, 2);
});

test("an upgrade of base that leaves the engine out looks for the finalizer that the engine writes", () => {
  const template = fileOf("base", "templates/rollout.yaml");
  assert.match(template, /\{\{- if and \.Release\.IsUpgrade \(ne \(toString \$v\.rollout\.force\) "true"\) \}\}/);
  assert.ok(template.includes(`has "${undoFinalizer}" (.metadata.finalizers | default list)`));
});

test("istiod's chart grants changes of nodes only with taint.enabled", () => {
  const istiod = fileOf("istiod", "templates/istiod.yaml");
  const [, role = ""] = istiod.split(/^\{\{- if \$v\.taint\.enabled \}\}$/m);
  const [on = "", off = ""] = role.split(/^\{\{- else \}\}\n(?=\{\{- if )/m);
  const patch = /resources:\n +- nodes\n +verbs:\n +- patch/;
  assert.match(on, /^kind: ClusterRole$/m);
  assert.match(on, patch);
  assert.match(off, /^kind: ClusterRole$/m);
  assert.doesNotMatch(off, patch);
  assert.match(istiod, /- "--cniNamespace=\{\{ \$v\.taint\.namespace \| default \$\.Release\.Namespace \}\}"/);
  assert.match(
    istiod,
    /- name: PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME\n +value: \{\{ \$v\.taint\.name \| quote \}\}/,
  );
});

test("the notes name each value of upstream's chart that ours does not act on, and no other", () => {
  const notedBy = (chart: string): readonly string[] =>
    [
      ...(/range \$path := list (.*) \}\}/.exec(fileOf(chart, "templates/NOTES.txt"))?.[1] ?? "").matchAll(
        /"([^"]+)"/g,
      ),
    ].map(([, path = ""]) => path);
  assert.deepEqual(notedBy("gateway"), [
    "compatibilityVersion",
    "gateway.compatibilityVersion",
    "ownerName",
    "gateway.ownerName",
  ]);
  for (const [chart, noted, acted] of [
    [
      "istiod",
      ["memory", "pilot.memory", "gatewayClasses"],
      [
        "pdb.minAvailable",
        "pdb.maxUnavailable",
        "pdb.unhealthyPodEvictionPolicy",
        "extraContainerArgs",
        "global.meshID",
        "env",
        "pilot.env",
      ],
    ],
    [
      "istiod",
      [],
      ["global.networkPolicy.enabled", "sidecarInjectorWebhook.enableNamespacesByDefault", "telemetry.enabled"],
    ],
    [
      "cni",
      ["global.networkPolicy.enabled", "repair.deletePods", "cni.repair.deletePods"],
      ["repair.enabled", "daemonSetLabels", "ownerName"],
    ],
    [
      "ztunnel",
      ["resourceName"],
      [
        "global.networkPolicy.enabled",
        "resourceQuotas.enabled",
        "resourceQuotas.pods",
        "logAsJson",
        "updateStrategy.type",
        "istioNamespace",
        "dnsPolicy",
      ],
    ],
    ["base", ["global.resourceScope"], ["base.enableIstioConfigCRDs", "experimental.stableValidationPolicy"]],
  ] as const) {
    const paths = notedBy(chart);
    assert.deepEqual(
      noted.filter((path) => !paths.includes(path)),
      [],
      chart,
    );
    assert.deepEqual(
      acted.filter((path) => paths.includes(path)),
      [],
      chart,
    );
  }
});

test("the charts make the account that other clusters read with, unless another is given or none is wanted", () => {
  const base = fileOf("base", "templates/base.yaml");
  assert.match(
    base,
    /\{\{- if and \(ne \(toString \$v\.global\.enableReaderRBAC\) "false"\) \(not .*readerServiceAccount.*\) \}\}\n---\napiVersion: v1\nkind: ServiceAccount/,
  );
  const istiod = fileOf("istiod", "templates/istiod.yaml");
  assert.equal(istiod.match(/if \(ne \(toString \$v\.global\.enableReaderRBAC\) "false"\) \}\}/g)?.length, 2);
  assert.match(istiod, /readerServiceAccount\)\.name \| default "istio-reader-service-account"/);
});

test("istiod's chart passes arguments, the mesh's name and the injection of all namespaces on", () => {
  const istiod = fileOf("istiod", "templates/istiod.yaml");
  assert.match(istiod, /\{\{- with \$v\.extraContainerArgs \}\}\{\{ toYaml \. \| nindent \d+ \}\}\{\{- end \}\}/);
  assert.match(istiod, /\(dict "meshId" \$v\.global\.meshID\)/);
  assert.match(istiod, /\{\{- if \$v\.sidecarInjectorWebhook\.enableNamespacesByDefault \}\}/);
  assert.match(istiod, /name: auto\.sidecar-injector\.istio\.io/);
});

test("the gateway's chart writes each of the pod's, the Service's and the autoscaler's values", () => {
  const gateway = fileOf("gateway", "templates/gateway.yaml");
  for (const value of ["strategy", "lifecycle", "readinessProbe", "dnsConfig", "service.selectorLabels"])
    assert.match(gateway, new RegExp(`\\{\\{- with \\$v\\.${value.replace(".", "\\.")} \\}\\}\\{\\{ toYaml`), value);
  assert.match(gateway, /\{\{- with include "gateway\.service" \$ \| fromYaml \}\}/);
  assert.match(
    gateway,
    /kind: "\{\{ \$v\.kind \| default "Deployment" \| quote \}\}"|kind: \{\{ \$v\.kind \| default "Deployment" \| quote \}\}/,
  );
});

test("equal expressions get the same mark, so that an object is the same in all states that do not change it", () => {
  const marks = new TemplateMarks();
  const object = (): UntypedObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: marks.text("$.Release.Name") },
    data: { count: marks.number("$v.count"), other: marks.optional("$.Release.Name") },
  });
  const [first, second] = [object(), object()];
  assert.deepEqual(first, second);
  const template = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $.Release.Name | quote }}
data:
  count: {{ $v.count }}
  {{- with $.Release.Name }}
  other: {{ . | quote }}
  {{- end }}`;
  assert.equal(marks.templateOf(first), template);
  assert.equal(marks.templateOf(second), template);
});
