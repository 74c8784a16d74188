// Runs Istio's own istioctl against Serin. Checks its requests to the API server, the control plane and each kind of
// proxy, and its output.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls, type Kubectl } from "../support/kubectls.ts";
import { root, type Ran } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";
import { tableIn, type Row } from "./istioctl/table.ts";

const given = process.env["ISTIOCTL"];
const samples = join(root, "samples");
const [kubectl] = kubectls().slice(-1);
const foundIssues = 79;
/** The limit is long, because a busy lab may answer late, and a missing answer is no finding. */
const patienceMs = 120_000;

if (given === undefined)
  process.stderr.write(
    "no proof with a real istioctl: ISTIOCTL names no program; scripts/fetch/istiod.sh builds one: ISTIOCTL=.cache/interop/istioctl npm run interop\n",
  );
else describe("a real istioctl", () => proof(resolve(given), kubectl));

function proof(program: string, shellKubectl: Kubectl | undefined): void {
  assert.ok(shellKubectl);
  const guide = new Walkthrough("interop-istioctl", shellKubectl);
  const { lab } = guide;
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const ctl = async (words: string): Promise<string> => await ok(`${program} ${words}`);
  const ctlJson = async (words: string): Promise<unknown> =>
    JSON.parse(await ok(`${program} ${words} 2>/dev/null`)) as unknown;
  const ran = async (words: string): Promise<Ran> => await lab.shell(`${program} ${words}`);
  /** `name.namespace` of the first running pod with these labels. */
  const pod = async (namespace: string, labels: string): Promise<string> =>
    `${(await ok(`kubectl -n ${namespace} get pod -l ${labels} --field-selector=status.phase=Running -o jsonpath='{.items[0].metadata.name}'`)).trim()}.${namespace}`;
  let sidecar = "";
  let gateway = "";
  let waypoint = "";
  let ztunnels: readonly string[] = [];

  before(
    async () => {
      assert.ok(existsSync(program), `there is no ${program}: scripts/fetch/istiod.sh builds one`);
      const created = await lab.create();
      assert.equal(created.code, 0, created.output);
      await ok(
        "serin install --set profile=ambient --set components.ingressGateways[0].name=istio-ingressgateway --set components.ingressGateways[0].enabled=true -y",
      );
      await ok(
        "kubectl create namespace side; kubectl label namespace side istio-injection=enabled; kubectl create namespace amb; kubectl label namespace amb istio.io/dataplane-mode=ambient; kubectl create namespace outside",
      );
      for (const namespace of ["side", "amb"])
        await ok(`kubectl -n ${namespace} apply -f ${samples}/httpbin/httpbin.yaml -f ${samples}/curl/curl.yaml`);
      await ok(`kubectl apply -f ${join(import.meta.dirname, "istioctl/mesh.yaml")}`);
      for (const namespace of ["side", "amb"])
        await ok(`kubectl -n ${namespace} wait deploy --all --for=condition=Available --timeout=200s`);
      [sidecar, gateway] = [await pod("side", "app=httpbin"), await pod("istio-system", "istio=ingressgateway")];
      ztunnels = (
        await ok(
          `kubectl -n istio-system get pod -l app=ztunnel -o jsonpath='{range .items[*]}{.metadata.name}{"\\n"}{end}'`,
        )
      )
        .trim()
        .split("\n");
    },
    { timeout: 600_000 },
  );
  after(async () => await lab.delete());

  // The other tests read objects that this one creates. No test changes an object that another reads.
  void test("waypoint generate, apply, list, status and delete", async () => {
    assert.match(
      await ctl("waypoint generate --for all -n amb"),
      /kind: Gateway[^]*istio\.io\/waypoint-for: all[^]*gatewayClassName: istio-waypoint/,
    );
    const applied = await ctl("waypoint apply -n amb --for all --enroll-namespace --wait --waypoint-timeout 300s");
    for (const pattern of [
      /waypoint amb\/waypoint applied/,
      /waypoint amb\/waypoint is ready/,
      /namespace amb labeled with "istio\.io\/use-waypoint: waypoint"/,
    ])
      assert.match(applied, pattern);
    assert.deepEqual(tableIn(await ctl("waypoint list -A"), "NAMESPACE"), [
      { NAMESPACE: "amb", NAME: "waypoint", REVISION: "default", "TRAFFIC TYPE": "all", PROGRAMMED: "True" },
    ]);
    assert.match(
      await ctl("waypoint status -n amb"),
      /NAME +STATUS +TYPE +REASON +MESSAGE\nwaypoint +True +Programmed +Programmed/,
    );
    await ctl("waypoint apply -n amb --name second");
    assert.match(await ctl("waypoint delete second -n amb"), /waypoint amb\/second deleted/);
    assert.deepEqual(
      tableIn(await ctl("waypoint list -n amb"), "NAME").map(({ NAME }) => NAME),
      ["waypoint"],
    );
    waypoint = await pod("amb", "gateway.networking.k8s.io/gateway-name=waypoint");
    assert.equal(
      await ok(
        "kubectl -n amb exec deploy/curl -- curl -s -o /dev/null -m 20 -w '%{http_code}' http://httpbin:8000/status/200",
      ),
      "200",
    );
    assert.equal(
      await ok(
        "kubectl -n side exec deploy/curl -c curl -- curl -s -o /dev/null -m 20 -w '%{http_code}' http://httpbin:8000/status/200",
      ),
      "200",
    );
  });

  void test("version lists the control plane's version and every proxy's", async () => {
    const own = (await ok("serin version --remote=false --short")).match(/\d+\.\d+\.\d+/)?.[0] ?? "";
    const { meshVersion, dataPlaneVersion } = (await ctlJson("version -o json")) as {
      meshVersion: { Component: string; Info: { version: string } }[];
      dataPlaneVersion: { ID: string; IstioVersion: string }[];
    };
    assert.deepEqual(
      meshVersion.map(({ Info }) => Info.version.trim()),
      [own],
    );
    assert.deepEqual([...new Set(dataPlaneVersion.map(({ IstioVersion }) => IstioVersion))], [own]);
    for (const name of [sidecar, gateway, waypoint, ...ztunnels.map((ztunnel) => `${ztunnel}.istio-system`)])
      assert.ok(
        dataPlaneVersion.some(({ ID }) => ID.includes(name)),
        `${name} in ${JSON.stringify(dataPlaneVersion)}`,
      );
    assert.match(
      await ctl("version"),
      new RegExp(`control plane version: ${own}\\n+data plane version: ${own} \\(\\d+ proxies\\)`),
    );
    assert.match(await ctl("x version"), new RegExp(`control plane version: ${own}`));
  });

  void test("proxy-status shows sidecar, gateway, waypoint and ztunnels, and that they acknowledged their configuration", async () => {
    const names = [sidecar, gateway, waypoint, ...ztunnels.map((ztunnel) => `${ztunnel}.istio-system`)];
    const istiod = await pod("istio-system", "app=istiod");
    await eventually(
      "all proxies are synced",
      async () => {
        const table = tableIn(await ctl("proxy-status"), "NAME");
        const verbose = tableIn(await ctl("proxy-status -v 1"), "NAME");
        return names.every((name) => {
          const row = table.find(({ NAME }) => NAME?.includes(name));
          const types = verbose.find(({ NAME }) => NAME?.includes(name)) ?? {};
          return (
            row?.["ISTIOD"] === istiod.split(".")[0] &&
            row?.["CLUSTER"] === "Kubernetes" &&
            /\w/.test(row["SUBSCRIBED TYPES"] ?? "") &&
            Object.values(types).includes("SYNCED") &&
            !Object.values(types).some((value) => /^(STALE|ERROR)/.test(value))
          );
        });
      },
      patienceMs,
    );
    const types = tableIn(await ctl("proxy-status -v 1"), "NAME").find(({ NAME }) => NAME?.includes(sidecar)) ?? {};
    assert.deepEqual(
      [types["CDS"], types["LDS"], types["EDS"], types["RDS"]],
      ["SYNCED", "SYNCED", "SYNCED", "SYNCED"],
    );
    const own = tableIn(await ctl("proxy-status -n side"), "NAME");
    assert.ok(own.length === 2 && own.every(({ NAME }) => NAME?.includes(".side~")), JSON.stringify(own));
    assert.match(JSON.stringify(await ctlJson("proxy-status -o json")), /"configStatus":"SYNCED"/);
  });

  void test("proxy-status of one proxy finds no difference between its configuration and the expected one", async () => {
    for (const name of [sidecar, gateway, waypoint]) {
      await eventually(
        `${name} has what it should have`,
        async () => {
          const output = await ctl(`proxy-status ${name}`);
          return ["Clusters Match", "Listeners Match", "Routes Match"].every((words) => output.includes(words));
        },
        patienceMs,
      ).catch(async (cause: unknown) => {
        throw new Error(await ctl(`proxy-status ${name}`), { cause });
      });
    }
    assert.match(await ctl(`proxy-status ${ztunnels[0] ?? ""}.istio-system`), /not available for ztunnel/);
  });

  void test("proxy-config shows the configuration of a sidecar, a gateway and a waypoint", async () => {
    const find = (rows: readonly Row[], wanted: Row): boolean =>
      rows.some((row) => Object.entries(wanted).every(([column, value]) => row[column] === value));
    const clusters = tableIn(await ctl(`proxy-config cluster ${sidecar}`), "SERVICE FQDN");
    assert.ok(
      find(clusters, {
        "SERVICE FQDN": "httpbin.side.svc.cluster.local",
        PORT: "8000",
        SUBSET: "v1",
        DIRECTION: "outbound",
        TYPE: "EDS",
        "DESTINATION RULE": "httpbin.side",
      }),
      JSON.stringify(clusters),
    );
    assert.ok(find(clusters, { PORT: "8080", DIRECTION: "inbound" }), JSON.stringify(clusters));
    assert.ok(
      find(
        tableIn(await ctl(`proxy-config cluster ${gateway} --fqdn httpbin.side.svc.cluster.local`), "SERVICE FQDN"),
        { "SERVICE FQDN": "httpbin.side.svc.cluster.local", SUBSET: "v1" },
      ),
    );
    assert.match(
      await ctl(`proxy-config cluster ${waypoint}`),
      /httpbin\.amb\.svc\.cluster\.local +8000 +http +inbound-vip +EDS/,
    );

    const listeners = await ctl(`proxy-config listener ${sidecar}`);
    assert.ok(
      find(tableIn(listeners, "ADDRESSES", "PORT", "MATCH", "DESTINATION"), {
        PORT: "8000",
        DESTINATION: "Route: 8000",
      }),
      listeners,
    );
    assert.match(listeners, /0\.0\.0\.0 +15006 +/);
    assert.match(await ctl(`proxy-config listener ${gateway}`), /8080 +ALL +Route: http\.8080/);
    assert.match(await ctl(`proxy-config listener ${waypoint}`), /0\.0\.0\.0 +15008 +ALL/);

    const routes = tableIn(await ctl(`proxy-config route ${sidecar} --name 8000`), "NAME");
    assert.ok(find(routes, { NAME: "8000", "VIRTUAL SERVICE": "httpbin.side" }), JSON.stringify(routes));
    assert.ok(
      find(tableIn(await ctl(`proxy-config route ${gateway}`), "NAME"), {
        NAME: "http.8080",
        DOMAINS: "httpbin.example.com",
        "VIRTUAL SERVICE": "httpbin.side",
      }),
    );
    assert.match(
      await ctl(`proxy-config route ${waypoint}`),
      /inbound-vip\|8000\|http\|httpbin\.amb\.svc\.cluster\.local/,
    );

    const endpoints = await ctl(
      `proxy-config endpoint ${sidecar} --cluster 'outbound|8000|v1|httpbin.side.svc.cluster.local'`,
    );
    const address = await ok(`kubectl -n side get pod ${sidecar.split(".")[0] ?? ""} -o jsonpath='{.status.podIP}'`);
    assert.match(
      endpoints,
      new RegExp(`${address.replaceAll(".", "\\.")}:8080 +HEALTHY +OK +outbound\\|8000\\|v1\\|httpbin`),
    );
    for (const name of [gateway, waypoint]) assert.match(await ctl(`proxy-config endpoint ${name}`), /httpbin/);

    for (const name of [sidecar, gateway, waypoint]) {
      const secrets = tableIn(await ctl(`proxy-config secret ${name}`), "RESOURCE NAME");
      for (const wanted of [
        { "RESOURCE NAME": "default", TYPE: "Cert Chain", STATUS: "ACTIVE", "VALID CERT": "true" },
        { "RESOURCE NAME": "ROOTCA", TYPE: "CA", STATUS: "ACTIVE", "VALID CERT": "true" },
      ])
        assert.ok(find(secrets, wanted), JSON.stringify(secrets));
      assert.match(
        await ctl(`proxy-config bootstrap ${name}`),
        new RegExp(`"id": "(sidecar|router|waypoint)~[^"]*~${name.replaceAll(".", "\\.")}~`),
      );
      assert.match(await ctl(`proxy-config bootstrap ${name} -o short`), /Istio Version: +\d+\.\d+\.\d+/);
      assert.match(await ctl(`proxy-config ecds ${name}`), /ECDS NAME/);
      const all = await ctl(`proxy-config all ${name}`);
      for (const part of ["SERVICE FQDN", "RESOURCE NAME", "LOCALITY"])
        assert.ok(all.includes(part), `${part} in ${all}`);
    }
    for (const kind of ["cluster", "listener", "route", "endpoint", "secret"])
      assert.ok(await ctlJson(`proxy-config ${kind} ${sidecar} -o json`));
    assert.match(await ctl(`proxy-config log ${sidecar} --level debug`), /active loggers:[^]*: debug/);
    assert.match(await ctl(`proxy-config log ${sidecar} --reset`), /active loggers:[^]*: warning/);
    assert.match(await ctl(`x envoy-stats ${sidecar}`), /cluster\.|istio_requests_total/);
    assert.match(await ctl(`x envoy-stats ${sidecar} --type clusters`), /httpbin\.side\.svc\.cluster\.local/);
  });

  void test("ztunnel-config shows the configuration of a ztunnel", async () => {
    const [, address = ""] =
      /^(\S+)/.exec(await ok("kubectl -n amb get pod -l app=httpbin -o jsonpath='{.items[0].status.podIP}'")) ?? [];
    const workloads = tableIn(
      await ctl("ztunnel-config workload"),
      "NAMESPACE",
      "POD NAME",
      "ADDRESS",
      "NODE",
      "WAYPOINT",
      "PROTOCOL",
    );
    const found = workloads.find((row) => row["NAMESPACE"] === "amb" && row["POD NAME"]?.startsWith("httpbin-"));
    assert.deepEqual(
      [found?.["ADDRESS"], found?.["PROTOCOL"], found?.["WAYPOINT"]],
      [address, "HBONE", "waypoint"],
      JSON.stringify(workloads),
    );
    const services = tableIn(
      await ctl("ztunnel-config service --service-namespace amb"),
      "NAMESPACE",
      "SERVICE NAME",
      "SERVICE VIP",
      "WAYPOINT",
      "ENDPOINTS",
    );
    assert.ok(
      services.some(
        (row) => row["SERVICE NAME"] === "httpbin" && row["WAYPOINT"] === "waypoint" && row["ENDPOINTS"] === "1/1",
      ),
      JSON.stringify(services),
    );
    const policies = tableIn(await ctl("ztunnel-config policy"), "NAMESPACE", "POLICY NAME", "ACTION", "SCOPE");
    assert.ok(
      policies.some(
        (row) =>
          row["NAMESPACE"] === "amb" &&
          row["POLICY NAME"] === "not-from-outside" &&
          row["ACTION"] === "Deny" &&
          row["SCOPE"] === "Namespace",
      ),
      JSON.stringify(policies),
    );
    // The certificates and connections belong to pods of the node.
    const node = await ok("kubectl -n amb get pod -l app=httpbin -o jsonpath='{.items[0].spec.nodeName}'");
    const certificates = tableIn(await ctl(`ztunnel-config certificate --node ${node}`), "CERTIFICATE NAME");
    assert.ok(
      certificates.some(
        (row) =>
          row["CERTIFICATE NAME"] === "spiffe://cluster.local/ns/amb/sa/httpbin" &&
          row["TYPE"] === "Leaf" &&
          row["STATUS"] === "Available" &&
          row["VALID CERT"] === "true",
      ),
      JSON.stringify(certificates),
    );
    assert.match(
      await ctl(`ztunnel-config connections --node ${node}`),
      /WORKLOAD +DIRECTION +LOCAL +REMOTE +REMOTE TARGET +PROTOCOL/,
    );
    assert.match(
      await ctl(`ztunnel-config all ${ztunnels[0] ?? ""}.istio-system --with-headers`),
      /WORKLOAD INFO[^]*SERVICE INFO[^]*POLICY INFO[^]*SECRET INFO/,
    );
    assert.ok(await ctlJson(`ztunnel-config all ${ztunnels[0] ?? ""}.istio-system -o json`));
    assert.match(await ctl("ztunnel-config log --level debug"), /debug/);
    assert.match(await ctl("ztunnel-config log --reset"), /info/);
  });

  void test("x describe lists the rules and policies that apply to a pod and a service", async () => {
    const [name = ""] = sidecar.split(".");
    const described = await ctl(`x describe pod ${name} -n side`);
    for (const pattern of [
      /Service: httpbin\n +Port: http 8000\/HTTP targets pod port 8080/,
      /DestinationRule: httpbin for "httpbin"\n +Matching subsets: v1/,
      /VirtualService: httpbin/,
      /Effective PeerAuthentication:\n +Workload mTLS mode: STRICT\n/,
      /Exposed on Ingress Gateway http:\/\//,
      /RBAC policies: ns\[side\]-policy\[no-delete\]-rule\[0\]/,
    ])
      assert.match(described, pattern);
    assert.match(
      await ctl("x describe svc httpbin -n side"),
      /Service: httpbin\n[^]*DestinationRule: httpbin for "httpbin"[^]*Exposed on Ingress Gateway/,
    );
  });

  void test("x authz check lists the policies that a proxy enforces", async () => {
    const rows = tableIn(await ctl(`x authz check ${sidecar}`), "ACTION");
    assert.ok(
      rows.some(
        (row) => row["ACTION"] === "DENY" && row["AuthorizationPolicy"] === "no-delete.side" && row["RULES"] === "1",
      ),
      JSON.stringify(rows),
    );
  });

  void test("x check-inject and x injector list name the injector", async () => {
    const rows = tableIn(await ctl("x check-inject -n side deploy/httpbin"), "WEBHOOK");
    assert.ok(
      rows.some((row) => row["WEBHOOK"] === "istio-sidecar-injector" && row["INJECTED"] === "✔"),
      JSON.stringify(rows),
    );
    assert.ok(
      tableIn(await ctl("x check-inject -n outside -l app=x"), "WEBHOOK").every((row) => row["INJECTED"] === "✘"),
    );
    const listed = await ctl("x injector list");
    assert.match(listed, /NAMESPACE +ISTIO-REVISION +POD-REVISIONS\n[^]*side +default +default: 2/);
    assert.match(listed, /side +istio-sidecar-injector +default/);
  });

  void test("analyze, validate and x precheck find the faults, and nothing else", async () => {
    const clean = await ran("analyze -A");
    assert.equal(clean.code, 0, clean.output);
    writeFileSync(
      join(lab.directory, "bad.yaml"),
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: lost, namespace: side}\nspec:\n  hosts: [httpbin]\n  gateways: [nowhere]\n  http: [{route: [{destination: {host: httpbin}}]}]\n",
    );
    const found = await ran("analyze -n side bad.yaml");
    assert.equal(found.code, foundIssues, found.output);
    assert.match(found.output, /Error \[IST0101\] .*side\/lost.*Referenced gateway not found: "nowhere"/);
    assert.match(
      await ctl(`validate -f ${join(import.meta.dirname, "istioctl/mesh.yaml")}`),
      /is valid|has warnings: /,
    );
    writeFileSync(
      join(lab.directory, "invalid.yaml"),
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bad, namespace: side}\nspec: {hosts: []}\n",
    );
    assert.notEqual((await ran("validate -f invalid.yaml")).code, 0);
    assert.match(await ctl("x precheck"), /No issues found when checking the cluster/);
  });

  void test("tags are generated, set, listed and removed", async () => {
    assert.match(
      await ctl("tag generate prod --revision default"),
      /kind: MutatingWebhookConfiguration[^]*istio\.io\/tag: prod/,
    );
    assert.match(
      await ctl("tag set prod --revision default -y"),
      /Revision tag "prod" created, referencing control plane revision "default"/,
    );
    await ok("kubectl create namespace tagged; kubectl label namespace tagged istio.io/rev=prod");
    assert.deepEqual(
      tableIn(await ctl("tag list"), "TAG", "REVISION", "NAMESPACES").filter(({ TAG }) => TAG === "prod"),
      [{ TAG: "prod", REVISION: "default", NAMESPACES: "tagged" }],
    );
    await ok(
      `kubectl -n tagged apply -f ${samples}/curl/curl.yaml && kubectl -n tagged rollout status deploy/curl --timeout=200s`,
    );
    assert.match(
      await ok(
        "kubectl -n tagged get pod -l app=curl -o jsonpath='{.items[0].spec.initContainers[*].name} {.items[0].spec.containers[*].name}'",
      ),
      /istio-proxy/,
    );
    assert.match(await ctl("tag remove prod -y"), /Revision tag prod removed/);
    assert.deepEqual(
      tableIn(await ctl("tag list"), "TAG", "REVISION", "NAMESPACES").filter(({ TAG }) => TAG === "prod"),
      [],
    );
  });

  void test("admin log reads and sets the control plane's level; x internal-debug and remote-clusters read its state", async () => {
    assert.match(
      await ctl("admin log"),
      /ACTIVE SCOPE +DESCRIPTION +LOG LEVEL +STACK TRACE LEVEL\ndefault +\S.* +info +none/,
    );
    await ctl("admin log --level default:debug");
    assert.match(await ctl("admin log"), /\ndefault +\S.* +debug +none/);
    await ctl("admin log --reset");
    assert.match(await ctl("admin log"), /\ndefault +\S.* +info +none/);
    assert.match(await ctl("x internal-debug syncz"), new RegExp(sidecar.replaceAll(".", "\\.")));
    assert.match(await ctl("x internal-debug --list"), /"syncz"/);
    assert.match(await ctl("remote-clusters"), /NAME +SECRET +STATUS +ISTIOD +REVISION\nKubernetes/);
  });

  void test("kube-inject injects by the webhook's own templates", async () => {
    const injected = await ctl(`kube-inject -f ${samples}/httpbin/httpbin.yaml`);
    assert.match(injected, /name: istio-proxy/);
    assert.match(injected, /sidecar\.istio\.io\/status/);
  });

  void test("bug-report gathers the control plane, proxies and ztunnels into an archive", async () => {
    const { code, output } = await lab.shell(
      `${program} bug-report --include side,istio-system --duration 10m --timeout 60s --skip-coredumps --output-dir .`,
      { timeoutMs: 240_000 },
    );
    assert.equal(code, 0, output);
    const files = await ok("tar tzf bug-report.tar.gz");
    const [name = ""] = sidecar.split(".");
    for (const wanted of [
      new RegExp(`/proxies/side/${name}/config_dump`),
      new RegExp(`/proxies/istio-system/${ztunnels[0] ?? ""}/`),
      /\/istio\/istio-system\/istiod-[^/]+\/discovery\.log/,
      /\/cluster\/k8s-resources/,
    ])
      assert.match(files, wanted);
    const [archived = ""] = files.match(new RegExp(`.*/proxies/side/${name}/config_dump.*`)) ?? [];
    assert.match(await ok(`tar xzf bug-report.tar.gz -O '${archived}'`), /httpbin\.side\.svc\.cluster\.local/);
  });
}
