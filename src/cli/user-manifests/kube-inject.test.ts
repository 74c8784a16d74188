import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { describeError } from "../../base/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const manifest = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{containerPort: 9080}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy, namespace: shop}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {sidecar.istio.io/inject: "false"}}, spec: {containers: [{name: tidy, image: tidy}]}}}}}
`;
const files = {
  "web.yaml": manifest,
  config: "policy: enabled\n",
  mesh: "{}\n",
  values: JSON.stringify({ global: { hub: "docker.io/istio", tag: "1.31.1" } }),
  "bad.yaml": "kind: Pod\nmetadata:\n  name: a\n spec: 1\n",
};

async function serin(line: string, cluster: FakeCluster): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["kube-inject", ...line.split(" ")]);
  return context;
}

test("workloads get the sidecar in their templates, and other objects stay unchanged", async () => {
  const { output, errors } = await serin(
    "-f web.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values",
    { files },
  );
  const [service, deployment, cron] = parseAllDocuments(output).map(
    (document) => document.toJS() as { readonly kind: string; readonly spec: Record<string, unknown> },
  );
  assert.deepEqual(service?.spec, { ports: [{ port: 80 }] });
  const template = deployment?.spec["template"] as Pod;
  const containers = [...(template.spec?.containers ?? []), ...(template.spec?.initContainers ?? [])];
  assert.deepEqual(
    containers
      .filter(({ image }) => image === "docker.io/istio/proxyv2:1.31.1")
      .map(({ name }) => name)
      .toSorted(),
    ["istio-init", "istio-proxy"],
  );
  assert.doesNotMatch(JSON.stringify(cron), /proxyv2/);
  assert.equal(errors, '! CronJob tidy stays unchanged: sidecar.istio.io/inject is "false"\n');
});

test("texts, modes, merged maps and Windows' line ends keep the meaning that they have for kubectl", async () => {
  const web = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, annotations: {sidecar.istio.io/inject: "false"}}
spec:
  containers:
  - name: web
    image: web
    tty: yes
    env: [{name: A, value: "no"}, {name: B, value: "0755"}, {name: C, value: "1_000"}, {name: D, value: "22:22"}]
    resources: &limits {limits: {cpu: 1}}
  - name: other
    image: other
    resources: {<<: *limits}
  volumes: [{name: keys, secret: {secretName: keys, defaultMode: 0400}}]
`.replaceAll("\n", "\r\n");
  const { output } = await serin("-f web.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values", {
    files: { ...files, "web.yaml": web },
  });
  // kubectl reads YAML 1.1.
  const { containers, volumes } = (parse(output, { version: "1.1" }) as { readonly spec: Record<string, unknown[]> })
    .spec;
  assert.deepEqual(containers, [
    {
      name: "web",
      image: "web",
      tty: true,
      env: [
        { name: "A", value: "no" },
        { name: "B", value: "0755" },
        { name: "C", value: "1_000" },
        { name: "D", value: "22:22" },
      ],
      resources: { limits: { cpu: 1 } },
    },
    { name: "other", image: "other", resources: { limits: { cpu: 1 } } },
  ]);
  assert.deepEqual(volumes, [{ name: "keys", secret: { secretName: "keys", defaultMode: 0o400 } }]);
});

test("the mesh config is read by the rules of YAML that the control plane uses, and a fault of it is named", async () => {
  const web = `kind: Pod
apiVersion: v1
metadata: {name: web, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9080"}}
spec: {containers: [{name: web, image: web}]}
`;
  const portWith = async (mesh: string): Promise<unknown> => {
    const line = "-f web.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values";
    const { output } = await serin(line, { files: { ...files, "web.yaml": web, mesh } });
    return (parse(output) as Pod).metadata.annotations?.["prometheus.io/port"];
  };
  assert.equal(await portWith("enablePrometheusMerge: on\n"), "15020");
  assert.equal(await portWith("enablePrometheusMerge: off\n"), "9080");
  await assert.rejects(portWith("a: ["), { kind: "user", code: "bad-mesh-config" });
});

test("a file that is not YAML, a missing file name, and an unknown revision are refused", async () => {
  const refused = async (line: string): Promise<string> =>
    await serin(line, {
      files,
      objects: { ConfigMap: [{ metadata: { name: "istio-sidecar-injector-canary", namespace: "istio-system" } }] },
    }).then(() => assert.fail("it was not refused"), describeError);
  assert.match(
    await refused("-f bad.yaml"),
    /^bad\.yaml:4:1: this is not valid YAML: All mapping items must start at the same column/,
  );
  assert.match(await refused("--revision canry"), /^filename not specified/);
  assert.equal(
    await refused("-f web.yaml -r canry"),
    'there is no ConfigMap istio-sidecar-injector-canry in namespace istio-system; did you mean the revision "canary"?\n  hint: revisions: canary; choose one with --revision',
  );
});

test("an empty revision means the default one", async () => {
  const { output } = await serin("-f web.yaml --revision=", {
    files,
    objects: {
      ConfigMap: [
        {
          kind: "ConfigMap",
          metadata: { name: "istio-sidecar-injector", namespace: "istio-system" },
          data: { config: files.config, values: files.values },
        } as KubernetesObject,
      ],
    },
  });
  assert.match(output, /name: istio-proxy/);
});

test("an object whose kind is a name that objects inherit stays as it is", async () => {
  const odd = "apiVersion: example.com/v1\nkind: constructor\nmetadata:\n  name: a\n";
  const { output } = await serin("-f odd.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values", {
    files: { ...files, "odd.yaml": odd },
  });
  assert.deepEqual(parse(output), parse(odd));
});

test("a fault of a file that replaces a ConfigMap names the file, and one of the ConfigMap its key", async () => {
  const line = "-f web.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values";
  for (const [name, text, message] of [
    ["config", "3", "config must be an object, got 3"],
    ["values", "[", /^values is neither JSON nor YAML: /],
    ["mesh", "a: [", /^mesh is not valid YAML: /],
  ] as const)
    await assert.rejects(serin(line, { files: { ...files, [name]: text } }), { kind: "user", message });
  const injector = {
    metadata: { name: "istio-sidecar-injector", namespace: "istio-system" },
    data: { config: files.config, values: "3" },
  } as KubernetesObject;
  await assert.rejects(serin("-f web.yaml", { files, objects: { ConfigMap: [injector] } }), {
    message: "the key values of ConfigMap istio-system/istio-sidecar-injector must be an object, got 3",
  });
});

test("a file without objects, and one with a wrong member of a List, are named", async () => {
  const line = "-f odd.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values";
  const { output, errors } = await serin(line, { files: { ...files, "odd.yaml": "# nothing\n" } });
  assert.deepEqual([output, errors], ["", "! odd.yaml contains no objects\n"]);
  await assert.rejects(serin(line, { files: { ...files, "odd.yaml": "kind: List\nitems: [3]\n" } }), {
    message: "odd.yaml: List: items[0] must be an object, got 3",
  });
});
