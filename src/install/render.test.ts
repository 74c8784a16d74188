import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { UntypedObject } from "../api/index.ts";
import { valueAt } from "../base/index.ts";
import { parseIstioOperator } from "../api/istio/index.ts";
import {
  inApplyOrder,
  profiles,
  renderInstall,
  renderNamespaces,
  resolveSettings,
  type RenderedComponent,
} from "./index.ts";

const defaults = { hub: "docker.io/istio", tag: "9.9.9" };

function render(...specs: readonly object[]): {
  components: readonly RenderedComponent[];
  objects: readonly UntypedObject[];
} {
  const parsed = specs.map((spec) => {
    const operator = parseIstioOperator({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
    assert.deepEqual(operator.errors, []);
    return operator.value?.spec ?? {};
  });
  const { value: settings, errors } = resolveSettings({ specs: parsed }, defaults);
  assert.deepEqual(errors, []);
  assert.ok(settings);
  const rendered = renderInstall(settings, { istio: [], rollout: [] });
  assert.deepEqual(rendered.errors, []);
  return { components: rendered.components, objects: rendered.components.flatMap((component) => component.objects) };
}

interface PodLifetime {
  readonly terminationGracePeriodSeconds?: number;
  readonly shareProcessNamespace?: boolean;
}

const named = (objects: readonly UntypedObject[], kind: string): string[] =>
  objects.filter((object) => object.kind === kind).map((object) => object.metadata.name ?? "");

function find(objects: readonly UntypedObject[], kind: string, name: string): UntypedObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
}

test("the ambient profile installs core, istiod, CNI, an ingress gateway and ztunnel, in this order", () => {
  const { components } = render({ profile: "ambient" });
  assert.deepEqual(
    components.map((component) => component.done),
    ["Istio core installed", "Istiod installed", "CNI installed", "Ingress gateways installed", "Ztunnel installed"],
  );
});

test("a pod that may take minutes to end runs its process below the pause container, so that SIGTERM ends it even while it starts", () => {
  const minutes = 600;
  const { objects } = render({ profile: "ambient" });
  const pods = objects.flatMap(({ kind, spec }) => {
    const pod = (spec as { template?: { spec?: PodLifetime } } | undefined)?.template?.spec;
    return pod === undefined || (pod.terminationGracePeriodSeconds ?? 0) < minutes ? [] : [{ kind, pod }];
  });
  assert.deepEqual(
    pods.map(({ kind, pod }) => [kind, pod.shareProcessNamespace]),
    [["DaemonSet", true]],
  );
});

test("a digest of the tag is part of images, and of no label, which allows neither its characters nor its length", () => {
  const tag = `9.9.9@sha256:${"a".repeat(64)}`;
  const { objects } = render({ profile: "ambient", tag, values: { global: { variant: "distroless" } } });
  const version = "app.kubernetes.io/version";
  const versions = objects.flatMap(({ metadata }) => metadata.labels?.[version] ?? []);
  assert.deepEqual([...new Set(versions)], ["9.9.9"]);
  const istiod = find(objects, "Deployment", "istiod");
  assert.equal(istiod.metadata.labels?.["helm.sh/chart"], "istiod-9.9.9");
  assert.match(JSON.stringify(istiod), new RegExp(`"image":"docker.io/istio/pilot:${tag}"`));
});

test("a revisioned control plane has its own names, labels and selector, and no label on shared objects", () => {
  const { objects } = render({
    profile: "ambient",
    revision: "1-18-1",
    tag: "1.18.1",
    components: {
      ztunnel: { enabled: false },
      cni: { enabled: false },
      ingressGateways: [{ name: "istio-ingressgateway", enabled: false }],
    },
  });
  assert.deepEqual(named(objects, "Deployment"), ["serin-rollout", "istiod-1-18-1"]);
  assert.deepEqual(named(objects, "DaemonSet"), []);
  const service = find(objects, "Service", "istiod-1-18-1");
  assert.deepEqual((service["spec"] as { selector: unknown }).selector, { app: "istiod", "istio.io/rev": "1-18-1" });
  assert.equal(
    find(objects, "ServiceAccount", "istio-reader-service-account").metadata.labels?.["istio.io/rev"],
    undefined,
  );
  assert.equal(service.metadata.labels?.["istio.io/rev"], "1-18-1");
  assert.deepEqual(named(objects, "ValidatingWebhookConfiguration"), [
    "serin-rollout",
    "istio-validator-1-18-1-istio-system",
  ]);
});

test("the account that other clusters read with is the mesh's, a given one, or none", () => {
  const readers = (values: Record<string, unknown>): readonly unknown[] => {
    const { objects } = render({ profile: "default", values });
    const bindings = objects.filter(
      ({ kind, metadata }) => kind === "ClusterRoleBinding" && metadata.name?.startsWith("istio-reader-clusterrole"),
    );
    return [
      named(objects, "ServiceAccount").includes("istio-reader-service-account"),
      ...bindings.flatMap((binding) => binding["subjects"]),
    ];
  };
  const subject = { kind: "ServiceAccount", name: "istio-reader-service-account", namespace: "istio-system" };
  assert.deepEqual(readers({}), [true, subject]);
  assert.deepEqual(readers({ global: { enableReaderRBAC: false } }), [false]);
  assert.deepEqual(readers({ global: { readerServiceAccount: { name: "mine", namespace: "far" } } }), [
    false,
    { kind: "ServiceAccount", name: "mine", namespace: "far" },
  ]);
});

test("logs in JSON are an argument of each component, and a value of ztunnel", () => {
  const jsonLoggers = (values: Record<string, unknown>): readonly string[] => {
    const { objects } = render({
      profile: "ambient",
      components: { ingressGateways: [{ name: "istio-ingressgateway", enabled: true }] },
      values,
    });
    return objects.flatMap((object) => {
      const { template } = (object["spec"] ?? {}) as {
        template?: { spec?: { containers?: { args?: string[]; env?: { name: string; value?: string }[] }[] } };
      };
      const containers = template?.spec?.containers ?? [];
      const logsJson = containers.some(
        ({ args = [], env = [] }) =>
          args.includes("--log_as_json") || env.some(({ name, value }) => name === "LOG_FORMAT" && value === "json"),
      );
      return logsJson ? [object.metadata.name ?? ""] : [];
    });
  };
  assert.deepEqual(jsonLoggers({}), []);
  assert.deepEqual([...jsonLoggers({ global: { logAsJson: true } })].sort(), [
    "istio-cni-node",
    "istio-ingressgateway",
    "istiod",
  ]);
  assert.deepEqual(jsonLoggers({ ztunnel: { logAsJson: true } }), ["ztunnel"]);
});

test("ztunnel gets the mesh's revocation lists only if its peerCaCrl is enabled", () => {
  const ofZtunnel = (values: Record<string, unknown>): readonly unknown[] => {
    const { objects } = render({ profile: "empty", components: { ztunnel: { enabled: true } }, values });
    const { template } = find(objects, "DaemonSet", "ztunnel")["spec"] as {
      template: {
        spec: {
          containers: { env: { name: string; value?: string }[]; volumeMounts: { name: string }[] }[];
          volumes: { name: string }[];
        };
      };
    };
    const [container] = template.spec.containers;
    return [
      container?.env.find(({ name }) => name === "CRL_PATH")?.value,
      container?.volumeMounts.find(({ name }) => name === "crl-volume"),
      template.spec.volumes.find(({ name }) => name === "crl-volume"),
    ];
  };
  assert.deepEqual(ofZtunnel({}), [undefined, undefined, undefined]);
  assert.deepEqual(ofZtunnel({ ztunnel: { peerCaCrl: { enabled: true } } }), [
    "/var/run/secrets/istio/crl/ca-crl.pem",
    { name: "crl-volume", mountPath: "/var/run/secrets/istio/crl", readOnly: true },
    { name: "crl-volume", configMap: { name: "istio-ca-crl", optional: true } },
  ]);
});

test("a cluster's network and name reach ztunnel, unless its own values set them", () => {
  const environment = (values: Record<string, unknown>): Record<string, string | undefined> => {
    const { objects } = render({ profile: "empty", components: { ztunnel: { enabled: true } }, values });
    const { template } = find(objects, "DaemonSet", "ztunnel")["spec"] as {
      template: { spec: { containers: { env: { name: string; value?: string }[] }[] } };
    };
    return Object.fromEntries(template.spec.containers[0]?.env.map(({ name, value }) => [name, value]) ?? []);
  };
  const named = ({
    NETWORK,
    ISTIO_META_CLUSTER_ID,
  }: Record<string, string | undefined>): readonly (string | undefined)[] => [NETWORK, ISTIO_META_CLUSTER_ID];
  const global = { network: "west", multiCluster: { clusterName: "first" } };
  assert.deepEqual(named(environment({})), [undefined, "Kubernetes"]);
  assert.deepEqual(named(environment({ global })), ["west", "first"]);
  assert.deepEqual(
    named(environment({ global, ztunnel: { network: "east", multiCluster: { clusterName: "second" } } })),
    ["east", "second"],
  );
});

test("validation fails open until a pilot changes that, unless the values set the policy", () => {
  const policies = (values: Record<string, unknown>): unknown[] =>
    render({ profile: "default", values }).objects.flatMap((object) =>
      object.kind === "ValidatingWebhookConfiguration" && /valid/.test(object.metadata.name ?? "")
        ? (object["webhooks"] as { failurePolicy: string }[]).map(({ failurePolicy }) => failurePolicy)
        : [],
    );
  assert.deepEqual([...new Set(policies({}))], ["Ignore"]);
  assert.deepEqual([...new Set(policies({ base: { validationFailurePolicy: "Fail" } }))], ["Fail"]);
});

test("a data plane file that renames the DaemonSet gets its revision from its control plane's address", () => {
  const { objects } = render({
    profile: "empty",
    components: {
      ztunnel: {
        enabled: true,
        k8s: {
          nodeSelector: { "istio.io/rev": "1-18-1" },
          overlays: [
            { kind: "DaemonSet", name: "ztunnel", patches: [{ path: "metadata.name", value: "ztunnel-1-18-1" }] },
          ],
        },
      },
    },
    values: { ztunnel: { env: { XDS_ADDRESS: "https://istiod-1-18-1.istio-system.svc:15012" } } },
  });
  const spec = find(objects, "DaemonSet", "ztunnel-1-18-1")["spec"] as {
    selector: { matchLabels: unknown };
    template: { spec: { nodeSelector: unknown; containers: { env: { name: string; value?: string }[] }[] } };
  };
  assert.deepEqual(spec.selector.matchLabels, { app: "ztunnel", "istio.io/rev": "1-18-1" });
  assert.deepEqual(spec.template.spec.nodeSelector, { "kubernetes.io/os": "linux", "istio.io/rev": "1-18-1" });
  const env = Object.fromEntries(spec.template.spec.containers[0]?.env.map(({ name, value }) => [name, value]) ?? []);
  assert.equal(env["XDS_ADDRESS"], "https://istiod-1-18-1.istio-system.svc:15012");
  assert.equal(env["REVISION"], "1-18-1");
});

test("an overlay reaches a field inside a named container, and one without a target is refused with the known objects", () => {
  const overlay = (name: string) => ({
    profile: "empty",
    components: {
      pilot: {
        enabled: true,
        k8s: {
          overlays: [
            {
              kind: "Deployment",
              name,
              patches: [{ path: "spec.template.spec.containers.[name:discovery].image", value: "x:1" }],
            },
          ],
        },
      },
    },
  });
  const deployment = find(render(overlay("istiod")).objects, "Deployment", "istiod");
  assert.match(JSON.stringify(deployment), /"image":"x:1"/);
  const { value: settings } = resolveSettings(
    { specs: [parseIstioOperator({ spec: overlay("nobody") }).value?.spec ?? {}] },
    defaults,
  );
  assert.ok(settings);
  const { errors } = renderInstall(settings, { istio: [], rollout: [] });
  assert.equal(errors[0]?.path, "spec.components.pilot.k8s.overlays[0]");
  assert.match(errors[0].message, /no Deployment "nobody".*Deployment\/istiod/);
});

test("an overlay appends to a list by an index beyond its end, and a map may be written as text", () => {
  const patch = (path: string, value: unknown) => ({ path: `spec.template.spec.${path}`, value });
  const { objects } = render({
    profile: "empty",
    components: {
      pilot: {
        enabled: true,
        k8s: {
          overlays: [
            {
              kind: "Deployment",
              name: "istiod",
              patches: [
                patch("volumes[-1]", "name: a\nemptyDir: {}\n"),
                patch("volumes[100]", "name: b\nsecret:\n  secretName: c"),
                patch("schedulerName", '{"a": 1}'),
                patch("hostname", "a:b"),
              ],
            },
          ],
        },
      },
    },
  });
  const { template } = find(objects, "Deployment", "istiod")["spec"] as {
    template: { spec: { volumes: unknown[]; schedulerName: string; hostname: string } };
  };
  const { volumes, schedulerName, hostname } = template.spec;
  assert.deepEqual(volumes.slice(-2), [
    { name: "a", emptyDir: {} },
    { name: "b", secret: { secretName: "c" } },
  ]);
  assert.deepEqual([schedulerName, hostname], ['{"a": 1}', "a:b"]);
});

test("the control plane's pod mounts additional roots for key sets only if they are set", () => {
  const rendered = (values: object) => render({ profile: "minimal", revision: "a", values }).objects;
  const objects = rendered({ pilot: { jwksResolverExtraRootCA: "PEM" } });
  const roots = find(objects, "ConfigMap", "pilot-jwks-extra-cacerts-a");
  assert.deepEqual(roots["data"], { "extra.pem": "PEM" });
  const deployment = JSON.stringify(find(objects, "Deployment", "istiod-a"));
  assert.match(deployment, /"name":"extracacerts","configMap":\{"name":"pilot-jwks-extra-cacerts-a"\}/);
  assert.match(deployment, /"name":"extracacerts","mountPath":"\/cacerts","readOnly":true/);
  assert.doesNotMatch(JSON.stringify(rendered({})), /cacerts-a|extracacerts/);
});

test("revision tags become webhook configurations for their revision", () => {
  const { objects } = render({ profile: "minimal", revision: "a", values: { revisionTags: ["canary"] } });
  const tag = find(objects, "MutatingWebhookConfiguration", "istio-revision-tag-canary");
  assert.equal(tag.metadata.labels?.["istio.io/rev"], "a");
  assert.equal(tag.metadata.labels["istio.io/tag"], "canary");
  assert.match(JSON.stringify(tag), /"name":"istiod-a"/);
});

test("flags take precedence over files and can change the profile's lists, and an unknown profile is refused with the known ones", () => {
  const setFlags = [
    "profile=ambient",
    "components.ingressGateways[0].enabled=false",
    "values.pilot.env.A=true",
    "tag=1.18",
  ];
  const { value: settings } = resolveSettings({ specs: [{ profile: "empty", tag: "1.17" }], setFlags }, defaults);
  assert.deepEqual(settings?.ingressGateways, [{ name: "istio-ingressgateway", enabled: false }]);
  assert.equal(settings.tag, "1.18");
  assert.deepEqual((settings.values["pilot"] as { env: unknown }).env, { PILOT_ENABLE_AMBIENT: "true", A: true });
  const { errors } = resolveSettings({ specs: [{ profile: "huge" }] }, defaults);
  assert.match(errors[0]?.message ?? "", /no profile "huge"; known: ambient, default, demo/);
});

test("a misspelt component, an invalid revision, and misspelt, obsolete or unused values are reported by name", () => {
  const parsed = parseIstioOperator({
    kind: "IstioOperator",
    spec: { revision: "1.18.1", components: { pilots: {} } },
  });
  assert.deepEqual(
    parsed.errors.map((issue) => issue.path),
    ["spec.revision", "spec.components.pilots"],
  );
  assert.equal(parsed.errors[1]?.message, "is not a known field; did you mean pilot?");
  const values = (given: Readonly<Record<string, unknown>>) =>
    resolveSettings({ specs: [{ values: given }] }, defaults);
  assert.deepEqual(values({ pilot: { autoscaleEnable: false } }).errors, [
    {
      path: "spec.values.pilot.autoscaleEnable",
      message: "is not a key of any release from 1.6 to 1.31; did you mean spec.values.pilot.autoscaleEnabled?",
    },
  ]);
  const { value, warnings } = values({ mixer: { telemetry: { enabled: true } }, gatewayClasses: { istio: {} } });
  assert.ok(value);
  assert.deepEqual(warnings, [
    { path: "spec.values.mixer", message: "has no effect: Istio 1.7 was the last release that read it" },
    { path: "spec.values.gatewayClasses", message: "has no effect: Serin does not read it" },
  ]);
  // Only the charts contain the policies of the profile stable.
  assert.deepEqual(
    values({ experimental: { stableValidationPolicy: true } }).warnings.map(({ path }) => path),
    ["spec.values.experimental"],
  );
});

test("top-level fields of 1.6 are accepted with a warning", () => {
  const { value, warnings } = parseIstioOperator({
    kind: "IstioOperator",
    spec: { addonComponents: { prometheus: { enabled: true } }, components: { telemetry: { enabled: true } } },
  });
  assert.ok(value);
  assert.deepEqual(
    warnings.map(({ path }) => path),
    ["spec.components.telemetry", "spec.addonComponents"],
  );
});

test("all profiles render, and the manifest begins with the namespaces and ends with webhooks", () => {
  for (const profile of Object.keys(profiles)) {
    const { value: settings } = resolveSettings({ specs: [{ profile }] }, defaults);
    assert.ok(settings, profile);
    const { components, errors } = renderInstall(settings, { istio: [], rollout: [] });
    assert.deepEqual(errors, []);
    const kinds = inApplyOrder([
      ...renderNamespaces(settings, components),
      ...components.flatMap(({ objects }) => objects),
    ]).map(({ kind }) => kind);
    assert.equal(kinds[0], "Namespace", profile);
    if (profile !== "empty") assert.match(kinds.at(-1) ?? "", /WebhookConfiguration$/, profile);
  }
});

test("the injector's ConfigMap contains the values that injection reads and the choice of templates", () => {
  const { objects } = render({
    values: {
      global: { proxy: { holdApplicationUntilProxyStarts: true } },
      sidecarInjectorWebhook: { injectedAnnotations: { a: "b" } },
    },
    hub: "h",
    tag: "t",
  });
  const { config, values } = find(objects, "ConfigMap", "istio-sidecar-injector")["data"] as Record<string, string>;
  const { defaultTemplates, policy, injectedAnnotations } = parse(config ?? "") as Record<string, unknown>;
  assert.deepEqual([defaultTemplates, policy, injectedAnnotations], [["sidecar"], "enabled", { a: "b" }]);
  const { global, revision } = JSON.parse(values ?? "") as {
    global: Record<string, Record<string, unknown>>;
    revision: string;
  };
  assert.deepEqual(
    [
      global["hub"],
      global["tag"],
      global["proxy"]?.["image"],
      global["proxy"]?.["statusPort"],
      global["proxy"]?.["holdApplicationUntilProxyStarts"],
      revision,
    ],
    ["h", "t", "proxyv2", 15_020, true, ""],
  );
});

test("the ambient profile makes Services with the label istio.io/global those of all clusters, as in upstream Istio", () => {
  const scopesOf = (spec: object): unknown => {
    const { data } = find(render(spec).objects, "ConfigMap", "istio") as unknown as { data: { mesh: string } };
    return valueAt(parse(data.mesh), "serviceScopeConfigs");
  };
  const wanted = { key: "istio.io/global", operator: "In", values: ["true"] };
  assert.deepEqual(scopesOf({ profile: "ambient" }), [
    { servicesSelector: { matchExpressions: [wanted] }, scope: "GLOBAL" },
  ]);
  assert.equal(scopesOf({ profile: "default" }), undefined);
  assert.deepEqual(scopesOf({ profile: "ambient", meshConfig: { serviceScopeConfigs: [] } }), []);
});

test("a gateway of the ambient profile speaks HBONE, and takes its ports and size from the values", () => {
  const { objects } = render({
    profile: "ambient",
    hub: "h",
    tag: "t",
    values: {
      gateways: { "istio-ingressgateway": { ports: [{ port: 80, targetPort: 8080, name: "http2" }], autoscaleMin: 2 } },
    },
  });
  const text = JSON.stringify(find(objects, "Deployment", "istio-ingressgateway"));
  assert.match(text, /"name":"ISTIO_META_ENABLE_HBONE","value":"true"/);
  assert.match(text, /"image":"h\/proxyv2:t"/);
  assert.deepEqual((find(objects, "Service", "istio-ingressgateway")["spec"] as { ports: unknown }).ports, [
    { port: 80, targetPort: 8080, name: "http2" },
  ]);
  assert.equal(
    (find(objects, "HorizontalPodAutoscaler", "istio-ingressgateway")["spec"] as { minReplicas: number }).minReplicas,
    2,
  );
  assert.deepEqual(named(objects, "PodDisruptionBudget"), ["istio-ingressgateway"]);
});

test("flags enable, move and size the ambient profile's gateway, under today's names and those before 1.7", () => {
  const gatewaysOf = (...flags: readonly string[]): { messages: string[]; gateways: string[] } => {
    const { value, errors, warnings } = resolveSettings(
      { specs: [], setFlags: ["profile=ambient", ...flags] },
      { hub: "h", tag: "1" },
    );
    const components = value === undefined ? [] : renderInstall(value, { istio: [], rollout: [] }).components;
    const gateways = components
      .filter(({ name }) => name.includes("Gateways"))
      .map(({ objects }) => {
        const specOf = (kind: string) =>
          objects.find((object) => object.kind === kind) as
            | {
                metadata: { name: string; namespace: string };
                spec: { type?: string; replicas?: number; ports?: { port: number }[] };
              }
            | undefined;
        const [service, deployment] = [specOf("Service"), specOf("Deployment")];
        return `${deployment?.metadata.namespace ?? ""}/${deployment?.metadata.name ?? ""} ${service?.spec.type ?? ""} ${(service?.spec.ports ?? []).map(({ port }) => port).join(",")} ${String(deployment?.spec.replicas)}`;
      });
    return { messages: [...errors, ...warnings].map(({ path, message }) => `${path}: ${message}`), gateways };
  };
  const usual = "istio-system/istio-ingressgateway LoadBalancer 15021,80,443 undefined";
  assert.deepEqual(gatewaysOf(), { messages: [], gateways: [usual] });
  for (const path of [
    "components.ingressGateways[0]",
    "spec.components.ingressGateways[0]",
    "components.ingressGateways.[name:istio-ingressgateway]",
  ])
    assert.deepEqual(gatewaysOf(`${path}.enabled=false`), { messages: [], gateways: [] });
  const moved = (path: string, place: string, value: boolean): string =>
    `spec.values.gateways.${path}: is read as spec.components.${place}[0].enabled=${value}, its place since 1.7`;
  assert.deepEqual(gatewaysOf("values.gateways.istio-ingressgateway.enabled=false"), {
    messages: [moved("istio-ingressgateway.enabled", "ingressGateways", false)],
    gateways: [],
  });
  assert.deepEqual(
    gatewaysOf("values.gateways.istio-ingressgateway.enabled=false", "components.ingressGateways[0].enabled=true")
      .gateways,
    [usual],
  );
  assert.deepEqual(gatewaysOf("values.gateways.enabled=false").gateways, []);
  assert.deepEqual(gatewaysOf("values.gateways.istio-egressgateway.enabled=true").gateways, [
    usual,
    "istio-system/istio-egressgateway ClusterIP 80,443 undefined",
  ]);
  assert.deepEqual(
    gatewaysOf(
      "values.gateways.istio-ingressgateway.type=NodePort",
      "values.gateways.istio-ingressgateway.autoscaleEnabled=false",
      "values.gateways.istio-ingressgateway.replicaCount=3",
    ).gateways,
    ["istio-system/istio-ingressgateway NodePort 15021,80,443 3"],
  );
  assert.deepEqual(
    gatewaysOf(
      "components.ingressGateways[0].name=edge",
      "components.ingressGateways[0].namespace=edge",
      "components.ingressGateways[0].k8s.service.type=ClusterIP",
    ).gateways,
    ["edge/edge ClusterIP 15021,80,443 undefined"],
  );
  assert.deepEqual(gatewaysOf("values.gateways.istio-ingressgatway.type=NodePort").messages, [
    "spec.values.gateways.istio-ingressgatway: is not a key of any release from 1.6 to 1.31; did you mean spec.values.gateways.istio-ingressgateway?",
  ]);
});

test("the CNI agent uses the folders of the cluster's platform, unless the values set others", () => {
  interface Volume {
    readonly name: string;
    readonly hostPath: { readonly path: string };
  }
  const agentOf = (values: object): { config: Record<string, string>; paths: Record<string, string> } => {
    const { objects } = render({ profile: "ambient", values });
    const { spec } = find(objects, "DaemonSet", "istio-cni-node") as unknown as {
      spec: { template: { spec: { volumes: Volume[] } } };
    };
    return {
      config: find(objects, "ConfigMap", "istio-cni-config")["data"] as Record<string, string>,
      paths: Object.fromEntries(spec.template.spec.volumes.map(({ name, hostPath }) => [name, hostPath.path])),
    };
  };
  const usual = agentOf({});
  assert.equal(usual.paths["cni-bin-dir"], "/opt/cni/bin");
  assert.equal(usual.paths["cni-net-dir"], "/etc/cni/net.d");
  assert.equal(usual.config["CHAINED_CNI_PLUGIN"], "true");
  assert.equal(usual.config["CNI_CONF_NAME"], undefined);
  const openshift = agentOf({ global: { platform: "openshift" } });
  assert.equal(openshift.paths["cni-net-dir"], "/etc/cni/multus/net.d");
  assert.equal(openshift.config["CHAINED_CNI_PLUGIN"], "false");
  assert.equal(openshift.config["CNI_CONF_NAME"], "istio-cni.conf");
  const own = agentOf({ global: { platform: "k3s" }, cni: { cniBinDir: "/x", cniConfFileName: "a.conf" } });
  assert.equal(own.paths["cni-bin-dir"], "/x");
  assert.equal(own.paths["cni-net-dir"], "/var/lib/rancher/k3s/agent/etc/cni/net.d");
  assert.equal(own.config["CNI_CONF_NAME"], "a.conf");
});

test("ztunnel learns the cluster's own DNS domain, unless its environment names another", () => {
  const domainOf = (values: object): string | undefined => {
    const { spec } = find(render({ profile: "ambient", values }).objects, "DaemonSet", "ztunnel") as unknown as {
      spec: { template: { spec: { containers: { env: { name: string; value?: string }[] }[] } } };
    };
    const found = spec.template.spec.containers[0]?.env.filter(({ name }) => name === "CLUSTER_DOMAIN") ?? [];
    assert.equal(found.length, 1);
    return found[0]?.value;
  };
  const values = { global: { proxy: { clusterDomain: "corp.example" } } };
  assert.equal(domainOf({}), "cluster.local");
  assert.equal(domainOf(values), "corp.example");
  assert.equal(domainOf({ ...values, ztunnel: { env: { CLUSTER_DOMAIN: "own.example" } } }), "own.example");
});

test("OpenShift gets the right to its privileged constraints, the SELinux type of the node's pods, and Multus's network", () => {
  const openshift = { global: { platform: "openshift" } };
  const { objects } = render({ profile: "ambient", values: openshift });
  for (const name of ["istio-cni-context-constraints", "ztunnel-context-constraints"]) {
    assert.deepEqual(find(objects, "ClusterRole", name)["rules"], [
      {
        apiGroups: ["security.openshift.io"],
        resources: ["securitycontextconstraints"],
        resourceNames: ["privileged"],
        verbs: ["use"],
      },
    ]);
    assert.deepEqual(find(objects, "ClusterRoleBinding", name)["subjects"], [
      { kind: "ServiceAccount", name: name.replace("-context-constraints", ""), namespace: "istio-system" },
    ]);
  }
  const contextOf = (values: object, name: string): Record<string, unknown> => {
    const { spec } = find(render({ profile: "ambient", values }).objects, "DaemonSet", name) as unknown as {
      spec: { template: { spec: { containers: { securityContext: Record<string, unknown> }[] } } };
    };
    return spec.template.spec.containers[0]?.securityContext ?? {};
  };
  assert.deepEqual(contextOf(openshift, "ztunnel")["seLinuxOptions"], { type: "spc_t" });
  const own = { ...openshift, ztunnel: { seLinuxOptions: { type: "own_t" } } };
  assert.deepEqual(contextOf(own, "ztunnel")["seLinuxOptions"], { type: "own_t" });
  const values = find(objects, "ConfigMap", "istio-sidecar-injector")["data"] as { values: string };
  const { pilot } = JSON.parse(values.values) as { pilot: { cni: object } };
  assert.deepEqual(pilot.cni, { enabled: true, provider: "multus" });
  assert.equal(contextOf({}, "ztunnel")["seLinuxOptions"], undefined);
  assert.deepEqual(
    named(render({ profile: "ambient" }).objects, "ClusterRole").filter((name) => name.includes("constraints")),
    [],
  );
});

test("no installation has the deprecated annotation of AppArmor, for which API servers warn", () => {
  for (const profile of ["ambient", "demo"])
    assert.doesNotMatch(JSON.stringify(render({ profile }).objects), /apparmor\.security\.beta/);
});

test("an unknown platform is refused, because its nodes would silently get the usual folders", () => {
  const errorsOf = (platform: string): string[] =>
    resolveSettings(
      { specs: [{ profile: "ambient", values: { global: { platform } } }] },
      { hub: "h", tag: "1" },
    ).errors.map(({ path, message }) => `${path}: ${message}`);
  assert.deepEqual(errorsOf("opensift"), [
    'spec.values.global.platform: there is no platform "opensift"; did you mean "openshift"?; known: gke, k3d, k3s, microk8s, minikube, openshift. Others, for example EKS, AKS, kind and kubeadm, need no value here: remove it',
  ]);
  assert.deepEqual(errorsOf(""), []);
});

test("GKE admits the node's pods only beside a quota of their priority class, so the CNI agent brings one there", () => {
  const quotasOf = (values: object): string[] => named(render({ profile: "ambient", values }).objects, "ResourceQuota");
  assert.deepEqual(quotasOf({}), []);
  assert.deepEqual(quotasOf({ global: { platform: "gke" } }), ["istio-cni-resource-quota"]);
  assert.deepEqual(quotasOf({ ztunnel: { resourceQuotas: { enabled: true } } }), ["ztunnel"]);
  const gke = { global: { platform: "gke" } };
  assert.deepEqual(quotasOf({ ...gke, cni: { resourceQuotas: { enabled: false } } }), []);
  const alone = (values: object): string[] =>
    named(render({ profile: "ambient", components: { cni: { enabled: false } }, values }).objects, "ResourceQuota");
  assert.deepEqual(alone(gke), ["ztunnel"]);
  assert.deepEqual(alone({ ...gke, ztunnel: { resourceQuotas: { enabled: false } } }), []);
});

test("the control plane, and those of other clusters, may read exports and imports of services in the group of MCS_API_GROUP", () => {
  const groupsOf = (objects: readonly UntypedObject[], name: string): unknown =>
    (
      find(objects, "ClusterRole", name) as { rules?: { resources: string[]; apiGroups: string[]; verbs: string[] }[] }
    ).rules
      ?.filter(({ resources }) => ["serviceexports", "serviceimports"].includes(resources[0] ?? ""))
      .map(({ apiGroups, verbs }) => `${apiGroups.join()}: ${verbs.join(" ")}`);
  for (const [values, group] of [
    [{}, "multicluster.x-k8s.io"],
    [{ pilot: { env: { MCS_API_GROUP: "net.gke.io" } } }, "net.gke.io"],
  ] as const) {
    const { objects } = render({ profile: "minimal", values });
    for (const name of ["istiod-clusterrole-istio-system", "istio-reader-clusterrole-istio-system"])
      assert.deepEqual(groupsOf(objects, name), [`${group}: list watch create`, `${group}: list watch`], name);
  }
});

test("the control plane may change nodes only if it removes the taint of pilot.taint, and gets the taint's name and the agents' namespace", () => {
  const rendered = (values: object): { readonly rules: string[]; readonly args: string[]; readonly env: string[] } => {
    const { objects } = render({ profile: "minimal", values });
    const role = find(objects, "ClusterRole", "istiod-clusterrole-istio-system") as {
      rules?: { resources: string[]; verbs: string[] }[];
    };
    const { spec } = find(objects, "Deployment", "istiod") as {
      spec?: { template: { spec: { containers: { args: string[]; env: { name: string; value?: string }[] }[] } } };
    };
    const [container] = spec?.template.spec.containers ?? [];
    return {
      rules: (role.rules ?? [])
        .filter(({ resources, verbs }) => resources.includes("nodes") && verbs.includes("patch"))
        .map(({ resources, verbs }) => `${verbs.join(" ")} ${resources.join(" ")}`),
      args: (container?.args ?? []).filter((argument) => argument.startsWith("--cniNamespace")),
      env: (container?.env ?? [])
        .filter(({ name }) => name.includes("NODE_UNTAINT"))
        .map(({ name, value }) => `${name}=${value ?? ""}`),
    };
  };
  assert.deepEqual(rendered({}), { rules: [], args: [], env: [] });
  assert.deepEqual(rendered({ pilot: { taint: { enabled: true } } }), {
    rules: ["patch nodes"],
    args: ["--cniNamespace=istio-system"],
    env: [
      "PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS=true",
      "PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME=cni.istio.io/not-ready",
    ],
  });
  const own = rendered({ pilot: { taint: { enabled: true, name: "example.com/x", namespace: "kube-system" } } });
  assert.deepEqual(own.args, ["--cniNamespace=kube-system"]);
  assert.equal(own.env[1], "PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME=example.com/x");
});

test("sidecars leave their redirect to the CNI agent where one is installed, unless the user decides otherwise", () => {
  const isLeft = (spec: object): unknown => {
    const { value } = resolveSettings({ specs: [spec] }, defaults);
    return valueAt(value?.values, "pilot", "cni", "enabled");
  };
  assert.equal(isLeft({}), false);
  assert.equal(isLeft({ profile: "ambient" }), true);
  assert.equal(isLeft({ components: { cni: { enabled: true } } }), true);
  assert.equal(isLeft({ values: { istio_cni: { enabled: true } } }), true);
  assert.equal(
    isLeft({ components: { cni: { enabled: true } }, values: { pilot: { cni: { enabled: false } } } }),
    false,
  );
  // A revision of an ambient mesh shares the agent of another revision.
  assert.equal(isLeft({ profile: "ambient", components: { cni: { enabled: false } } }), true);
});

test("every component's resources take any limit and request that Kubernetes knows", () => {
  const sized = { limits: { memory: "777Mi", "ephemeral-storage": "1Gi" }, requests: { "ephemeral-storage": "1Mi" } };
  const below = { resources: sized };
  for (const values of [
    { ztunnel: below },
    { cni: below },
    { pilot: below },
    { global: { waypoint: below, proxy: below } },
    { gateways: { "istio-ingressgateway": below } },
    { global: { defaultResources: sized } },
  ]) {
    const { errors } = resolveSettings({ specs: [{ profile: "ambient", values }] }, defaults);
    assert.deepEqual(errors, [], JSON.stringify(values));
  }
  const { objects } = render({ profile: "ambient", values: { ztunnel: below } });
  const ztunnel = objects.find(({ kind, metadata }) => kind === "DaemonSet" && metadata.name === "ztunnel");
  assert.match(JSON.stringify(ztunnel), /"limits":{"memory":"777Mi"/);
});

test("pull secrets reach every pod, and the mesh's placement and priority every pod but those that each node needs", () => {
  const { objects } = render({
    profile: "demo",
    components: { cni: { enabled: true }, ztunnel: { enabled: true } },
    values: {
      global: {
        imagePullSecrets: ["pull"],
        imagePullPolicy: "Always",
        priorityClassName: "mesh",
        defaultNodeSelector: { pool: "mesh" },
        defaultTolerations: [{ key: "pool", operator: "Exists" }],
      },
    },
  });
  const pods = objects.flatMap(({ kind, metadata, spec }) => {
    const pod = valueAt(spec, "template", "spec");
    return pod === undefined ? [] : [{ name: `${kind ?? ""} ${metadata.name ?? ""}`, pod }];
  });
  const placement = (pod: unknown): unknown[] => [
    valueAt(pod, "priorityClassName"),
    valueAt(pod, "nodeSelector", "pool"),
    (valueAt(pod, "tolerations") as { key?: string }[]).map(({ key }) => key),
  ];
  assert.deepEqual(Object.fromEntries(pods.map(({ name, pod }) => [name, placement(pod)])), {
    "Deployment serin-rollout": ["mesh", "mesh", ["pool"]],
    "Deployment istiod": ["mesh", "mesh", ["cni.istio.io/not-ready", "pool"]],
    "DaemonSet istio-cni-node": ["system-node-critical", undefined, [undefined]],
    "Deployment istio-ingressgateway": ["mesh", "mesh", ["pool"]],
    "Deployment istio-egressgateway": ["mesh", "mesh", ["pool"]],
    "DaemonSet ztunnel": ["system-node-critical", undefined, [undefined]],
  });
  for (const { name, pod } of pods) {
    assert.deepEqual(valueAt(pod, "imagePullSecrets"), [{ name: "pull" }], name);
    const [container] = valueAt(pod, "containers") as unknown[];
    assert.equal(valueAt(container, "imagePullPolicy"), "Always", name);
  }
});
