// `serin upgrade plan` between two different releases reports every change of the other release, and writes nothing.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { PreflightReport } from "../../src/preflight/index.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls.ts";
import { root, serin, type Ran } from "../support/lab-cluster.ts";
import type { MachineProcess } from "../support/processes.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const version = "2.0.0";
const [kubectl] = kubectls().toReversed();
assert.ok(kubectl !== undefined);
const guide = new Walkthrough("plan", kubectl);
const { lab } = guide;
const ok = async (line: string): Promise<string> => await guide.ok(line);
let report: PreflightReport;
const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

function upgradeFile(name: string, install: string): string {
  const file = join(lab.directory, name);
  writeFileSync(
    file,
    `apiVersion: rollout.serin.dev/v1alpha1
kind: MeshUpgrade
metadata: { name: to-new }
spec:
  from: { revision: old }
  to:
    revision: new
    install:
    - ${install}
  soakSeconds: 60
`,
  );
  return file;
}

const plan = async (file: string, ...flags: readonly string[]): Promise<Ran> =>
  await lab.run([serin, "upgrade", "plan", "-f", file, ...flags], { timeoutMs: 300_000 });

const everything =
  "kubectl get namespaces,configmaps,secrets,services,serviceaccounts,deployments,daemonsets,customresourcedefinitions,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,destinationrules,proxyconfigs,envoyfilters -A -o jsonpath='{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}={.metadata.resourceVersion}{\"\\n\"}{end}'";

const objects = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: retries, namespace: shop }
spec: { host: sleep, trafficPolicy: { connectionPool: { http: { maxRetries: 3 } } } }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: two, namespace: shop }
spec: { concurrency: 2 }
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: timeouts, namespace: shop }
spec: { configPatches: [{ applyTo: CLUSTER, match: { context: SIDECAR_OUTBOUND }, patch: { operation: MERGE, value: { connect_timeout: 3s } } }] }
---
apiVersion: v1
kind: Pod
metadata: { name: bare, namespace: shop, labels: { app: bare } }
spec: { containers: [{ name: c, image: curlimages/curl, command: [sleep, "100000"] }] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: sleep, namespace: shop }
spec: { minAvailable: 1, selector: { matchLabels: { app: sleep } } }
`;

before(async () => {
  const created = await lab.createOneNode();
  assert.equal(created.code, 0, created.output);
  const tree = join(lab.directory, "..", "release");
  await guide.run(
    "release",
    "build",
    tree,
    "--version",
    version,
    "--overlay",
    join(root, "test/releases/changed-defaults"),
  );
  await guide.run("release", "add", tree, "--name", lab.name);
});
after(async () => await lab.delete());

step("a mesh with sidecars, ambient pods, a bare pod and a strict budget", async () => {
  await ok("istioctl install --set profile=ambient --set revision=old -y");
  await ok("kubectl create namespace shop && kubectl label namespace shop istio.io/rev=old");
  await ok("kubectl create namespace field && kubectl label namespace field istio.io/dataplane-mode=ambient");
  for (const namespace of ["shop", "field"])
    await ok(`kubectl -n ${namespace} apply -f ${root}/samples/sleep/sleep.yaml`);
  // An update that first creates new pods disturbs nobody, so no budget would delay it.
  const inPlace = '{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}';
  await ok(`kubectl -n shop patch deployment sleep --type=merge -p '${inPlace}'`);
  writeFileSync(join(lab.directory, "objects.yaml"), objects);
  await ok("kubectl apply -f objects.yaml");
  for (const namespace of ["shop", "field"])
    await ok(`kubectl -n ${namespace} rollout status deployment/sleep --timeout=60s`);
  await ok("kubectl -n shop wait --for=condition=Ready pod/bare --timeout=60s");
  await eventually(
    "the budget has been counted",
    async () =>
      await guide.shows("kubectl -n shop get poddisruptionbudget sleep -o jsonpath='{.status.expectedPods}'", /^1$/),
  );
});

step("a plan lists all changes of the other release and who gets them, and writes nothing", async () => {
  const file = upgradeFile("upgrade.yaml", `{ profile: ambient, revision: new, tag: ${version} }`);
  // The engine has just started and still writes this object. Wait for it, because the test requires that nothing is
  // written.
  await eventually(
    "the engine's reviews are trusted",
    async () =>
      await guide.shows(
        "kubectl get validatingwebhookconfiguration serin-rollout -o jsonpath='{.webhooks[0].clientConfig.caBundle}'",
        /./,
      ),
  );
  const prior = await ok(everything);
  const { code, output } = await plan(file, "--json");
  assert.equal(code, 0, output);
  assert.equal(await ok(everything), prior);
  // The output begins with standard error, which says what the plan is doing.
  report = JSON.parse(output.slice(output.indexOf("{"))) as PreflightReport;
  assert.equal(report.verdict, "warnings");
  assert.deepEqual(report.notCompared, []);
  assert.deepEqual([report.to.version, report.reportVersion], [version, 1]);
  const pilot = report.rendered?.components.find(({ name }) => name === "Pilot");
  assert.ok(pilot !== undefined && pilot.unchanged > 5, "what only has another name is the same");
  const effective = (report.defaults?.effective ?? []).flatMap(({ changes }) =>
    changes.map(({ path, before: was, after: is }) => `${path} ${JSON.stringify(was)} -> ${JSON.stringify(is)}`),
  );
  assert.ok(
    effective.includes('spec.template.spec.containers[discovery].env[PILOT_TRACE_SAMPLING].value "1" -> "5"'),
    effective.join("\n"),
  );
  const gone = report.definitions?.changes.filter(({ type }) => type === "field-gone") ?? [];
  assert.deepEqual(
    gone.map(({ definition, field, objects: stored }) => [definition, field, stored]),
    [["proxyconfigs.networking.istio.io", "spec.concurrency", ["ProxyConfig shop/two"]]],
  );
  assert.deepEqual(
    report.configuration?.appeared.map(({ origin, message }) => `${origin}: ${message.split(" ")[0] ?? ""}`),
    ["DestinationRule shop/retries: spec.trafficPolicy.connectionPool.http.maxRetries"],
  );
  assert.deepEqual(
    report.proxies?.envoyFilters.map(({ name, differingCount }) => [name, differingCount]),
    [["shop/timeouts", 0]],
  );
});

step(
  "a change is reported once for all live proxies that would get it, and endpoints and addresses do not change",
  async () => {
    const { proxies, trust, workloads } = report;
    const groups = (proxies?.groups ?? []).map(({ type, changes }) => [
      type,
      changes
        .map(({ path, before: was, after: is }) => `${path} ${JSON.stringify(was)} -> ${JSON.stringify(is)}`)
        .join("; "),
    ]);
    assert.deepEqual(
      groups.map(([type]) => type),
      ["cluster", "cluster", "cluster"],
      JSON.stringify(groups),
    );
    assert.equal(groups[0]?.[1], 'connect_timeout "10s" -> "5s"');
    assert.match(groups[1]?.[1] ?? "", /^connect_timeout "10s" -> "5s"; .*max_retries 3 -> 4294967295$/);
    // An EnvoyFilter sets the connect timeout, so the new default does not show.
    assert.match(groups[2]?.[1] ?? "", /^circuit_breakers\S+max_retries 3 -> 4294967295$/);
    const proxyNames = new Set((proxies?.groups ?? []).flatMap((group) => group.proxies));
    for (const name of ["sleep.shop", "bare.shop", "istio-ingressgateway.istio-system"])
      assert.ok(proxyNames.has(name), [...proxyNames].join(", "));
    assert.ok(trust.rootsAgree && trust.trustDomainsAgree && trust.from.rootFingerprints.length === 1);
    assert.deepEqual(
      workloads.namespaces.map(({ namespace, mode, pods }) => [namespace, mode, pods]),
      [
        ["shop", "sidecar", 2],
        ["field", "ambient", 1],
      ],
    );
    assert.deepEqual(
      workloads.stuck.map(({ kind, name }) => `${kind} ${name}`),
      ["Pod bare"],
    );
    assert.deepEqual(
      workloads.blockingBudgets.map(({ name }) => name),
      ["sleep"],
    );
  },
);

step(
  "another trust domain blocks a plan, an unavailable release is reported, and an invalid file is refused",
  async () => {
    const blocked = await plan(
      upgradeFile(
        "blocked.yaml",
        "{ profile: ambient, revision: new, tag: 9.9.9, meshConfig: { trustDomain: elsewhere } }",
      ),
    );
    assert.equal(blocked.code, 1, blocked.output);
    assert.match(blocked.output, /✘ the trust domains differ: cluster\.local now, elsewhere in the new revision/);
    assert.match(
      blocked.output,
      /rendered, defaults, definitions, configuration, proxies(, workloads)?: the new release, 9\.9\.9, is not available/,
    );
    const refused = await plan(
      upgradeFile("refused.yaml", `{ profile: ambient, revision: newer, tag: ${version} }`),
      "--strict",
    );
    // Admission would refuse the file too, so the plan does not start.
    assert.equal(refused.code, 2, refused.output);
    assert.match(
      refused.output,
      /spec\.to\.install\[0\]\.revision: must be the revision of the upgrade \(new\), got "newer"/,
    );
  },
);

step("an interrupted plan leaves no process and no file behind", async () => {
  const child = lab.spawn(
    [
      serin,
      "upgrade",
      "plan",
      "-f",
      upgradeFile("upgrade.yaml", `{ profile: ambient, revision: new, tag: ${version} }`),
    ],
    { env: { TMPDIR: lab.directory } },
  );
  const shadows = (): MachineProcess[] => lab.processes().filter(({ words }) => words.includes("--shadow"));
  const both = await eventually("both shadows run", () => (shadows().length === 2 ? shadows() : undefined), 180_000);
  const fromSources = both.filter(({ words }) => words.some((word) => word.endsWith("/src/cmd/main.ts")));
  if (process.env["SERIN_BUNDLE"] !== undefined) assert.deepEqual(fromSources, [], "a checkout runs from its bundle");
  child.kill("SIGINT");
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 130);
  assert.deepEqual(shadows(), []);
  assert.equal((await ok("ls")).includes("serin-plan-"), false);
});
