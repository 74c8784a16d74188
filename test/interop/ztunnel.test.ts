// Istio's own ztunnel under Serin's control plane and CA. There are three set-ups: plain processes, with HBONE in both
// directions; a lab in which it replaces Serin's, and gets its pods from Serin's CNI agent; and a lab in which it runs
// on one node and Serin's on another.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { eventually } from "../support/eventually.ts";
import { root, type LabCluster } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const given = process.env["ZTUNNEL"];
const timeoutMs = 900_000;
const samples = join(root, "samples");
const cached = ".cache/interop/ztunnel";

const cases = [
  "upstream's client, Serin's server",
  "Serin's client, upstream's server",
  "upstream's client asks for addresses as it needs them",
  "nothing was refused",
];

if (given === undefined)
  process.stderr.write("no proof with a real ztunnel: ZTUNNEL names no program; ZTUNNEL=<path> npm run interop\n");
else {
  describe("a real ztunnel beside Serin's", () => proof(resolve(given)));
  describe("a real ztunnel in the lab", () => labProof(resolve(given)));
  describe("a real ztunnel on one node, Serin's on another", () => mixedProof(resolve(given)));
}

function proof(program: string): void {
  let outcome: Readonly<Record<string, string>> = {};

  before(
    async () => {
      assert.ok(existsSync(program), `there is no ${program}`);
      outcome = await run(program);
    },
    { timeout: timeoutMs },
  );

  for (const title of cases) test(title, () => assert.equal(outcome[title], "ok"));
}

async function run(program: string): Promise<Readonly<Record<string, string>>> {
  const child = spawn(
    join(root, "test/interop/mesh/in-namespace.sh"),
    [process.execPath, join(root, "test/interop/ztunnel/ztunnel-traffic.ts"), program],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise((done) => child.once("exit", done));
  return JSON.parse(text.trim().split("\n").at(-1) ?? "{}") as Record<string, string>;
}

function labProof(program: string): void {
  const [kubectl] = kubectls().slice(-1);
  assert.ok(kubectl);
  const guide = new Walkthrough("interop-ztunnel", kubectl);
  const { lab } = guide;
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const status = async (from: string): Promise<string> =>
    (
      await lab.shell(
        `kubectl -n ${from} exec deploy/curl -- curl -s -o /dev/null -m 10 -w '%{http_code}' http://httpbin.shop:8000/status/200`,
      )
    ).output
      .trim()
      .slice(0, 3);

  before(async () => await createWith(lab, program));
  after(async () => await lab.delete());

  step("is installed in place of Serin's ztunnel, and takes the pods of its node", async () => {
    await guide.ok("serin install --set profile=ambient --set values.ztunnel.image=docker.io/upstream/ztunnel:1 -y");
    await guide.ok("kubectl -n istio-system rollout status daemonset/ztunnel --timeout=200s");
    await guide.ok(
      "kubectl create namespace shop; kubectl create namespace outside; kubectl label namespace shop istio.io/dataplane-mode=ambient",
    );
    await guide.ok(
      `kubectl -n shop apply -f ${samples}/httpbin/httpbin.yaml -f ${samples}/curl/curl.yaml && kubectl -n outside apply -f ${samples}/curl/curl.yaml`,
    );
    for (const namespace of ["shop", "outside"])
      await guide.ok(`kubectl -n ${namespace} wait pod --all --for=condition=ready --timeout=200s`);
    assert.deepEqual([await status("shop"), await status("outside")], ["200", "200"]);
  });

  step("refuses clients without mutual TLS where it is required, and enforces policies", async () => {
    const strict = {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "strict", namespace: "shop" },
      spec: { mtls: { mode: "STRICT" } },
    };
    await guide.ok(`kubectl apply -f - <<< '${JSON.stringify(strict)}'`);
    await becomes(async () => [await status("shop"), await status("outside")], ["200", "000"]);
    const deny = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "deny", namespace: "shop" },
      spec: { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["curl"] } }] }] },
    };
    await guide.ok(`kubectl apply -f - <<< '${JSON.stringify(deny)}'`);
    await becomes(async () => [await status("shop")], ["000"]);
    const conditions = await guide.ok(
      "kubectl -n shop get authorizationpolicy deny -o jsonpath='{.status.conditions[*].type}={.status.conditions[*].status}'",
    );
    assert.equal(conditions.trim(), "ZtunnelAccepted=True");
  });
}

/** Creates a lab in which the image `ztunnel` of the hub "upstream" runs the real program. */
async function createWith(lab: LabCluster, program: string): Promise<void> {
  const created = await lab.create();
  assert.equal(created.code, 0, created.output);
  // Containers see this tree, but nothing else of the machine.
  if (program !== join(root, cached)) copyFileSync(program, join(root, cached));
  writeFileSync(
    join(lab.stateDirectory, "images.yaml"),
    `images:\n- images: ["*/upstream/ztunnel"]\n  entrypoint: [${cached}]\n`,
  );
}

const kinds = ["upstream", "own"] as const;
type Kind = (typeof kinds)[number];
const other: Readonly<Record<Kind, Kind>> = { upstream: "own", own: "upstream" };

interface DaemonSet {
  metadata: { readonly name: string; readonly namespace: string; readonly labels: object };
  spec: {
    selector: { matchLabels: object };
    template: { metadata: { labels: object }; spec: { nodeSelector: object; containers: { image: string }[] } };
  };
}

function mixedProof(program: string): void {
  const [kubectl] = kubectls().slice(-1);
  assert.ok(kubectl);
  const guide = new Walkthrough("interop-two-ztunnels", kubectl);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const apply = async (...items: readonly object[]): Promise<void> =>
    void (await guide.ok(
      `kubectl apply -f - <<'EOF'\n${JSON.stringify({ apiVersion: "v1", kind: "List", items })}\nEOF`,
    ));
  const status = async (client: Kind, server: Kind): Promise<string> =>
    (
      await guide.lab.shell(
        `kubectl -n shop exec deploy/client-${client} -- curl -s -o /dev/null -m 10 -w '%{http_code}' http://server-${server}:8000/status/200`,
      )
    ).output
      .trim()
      .slice(0, 3);

  before(
    async () => {
      await createWith(guide.lab, program);
      await guide.ok("serin install --set profile=ambient -y");
      const workers = (await guide.ok("kubectl get nodes -l '!node-role.kubernetes.io/control-plane' -o name"))
        .trim()
        .split("\n");
      assert.equal(workers.length, kinds.length);
      for (const [index, kind] of kinds.entries())
        await guide.ok(`kubectl label ${workers[index] ?? ""} ztunnel=${kind}`);
      const { metadata, spec } = JSON.parse(
        await guide.ok("kubectl -n istio-system get daemonset ztunnel -o json"),
      ) as DaemonSet;
      const { containers, nodeSelector } = spec.template.spec;
      const marked = (labels: object): object => ({ ...labels, kind: "upstream" });
      const { name, namespace, labels } = metadata;
      const template = {
        metadata: { labels: marked(spec.template.metadata.labels) },
        spec: {
          ...spec.template.spec,
          nodeSelector: { ...nodeSelector, ztunnel: "upstream" },
          containers: containers.map((container) => ({ ...container, image: "docker.io/upstream/ztunnel:1" })),
        },
      };
      await apply({
        apiVersion: "apps/v1",
        kind: "DaemonSet",
        metadata: { name: `${name}-upstream`, namespace, labels },
        spec: { ...spec, selector: { matchLabels: marked(spec.selector.matchLabels) }, template },
      });
      await guide.ok(
        `kubectl -n istio-system patch daemonset ztunnel -p '{"spec":{"template":{"spec":{"nodeSelector":{"ztunnel":"own"}}}}}'`,
      );
      for (const daemonSet of ["ztunnel", "ztunnel-upstream"])
        await guide.ok(`kubectl -n istio-system rollout status daemonset/${daemonSet} --timeout=200s`);
      await guide.ok("kubectl create namespace shop && kubectl label namespace shop istio.io/dataplane-mode=ambient");
      for (const kind of kinds)
        await apply(
          ...application(`client-${kind}`, kind, { image: "curlimages/curl", command: ["/bin/sleep", "infinity"] }),
          ...application(`server-${kind}`, kind, { image: "docker.io/mccutchen/go-httpbin:v2.15.0" }),
        );
      await guide.ok("kubectl -n shop wait deploy --all --for=condition=Available --timeout=200s");
    },
    { timeout: timeoutMs },
  );
  after(async () => await guide.lab.delete());

  step("each takes the pods of its node", async () => {
    for (const kind of kinds) {
      const [pod, more] = (
        await guide.ok(
          `kubectl -n istio-system get pods -l 'app=ztunnel,kind${kind === "upstream" ? "=" : "!="}upstream' -o jsonpath='{range .items[*]}{.metadata.name}{"\\n"}{end}'`,
        )
      )
        .trim()
        .split("\n");
      assert.equal(more, undefined);
      const held = await guide.ok(`serin ztunnel-config certificates ${pod ?? ""} -n istio-system`);
      for (const name of ["client", "server"]) assert.match(held, new RegExp(`/sa/${name}-${kind} .*Leaf +Available`));
    }
  });

  step("each reaches the other by mutual TLS, and the server's ztunnel knows the client's identity", async () => {
    for (const kind of kinds) {
      await becomes(async () => [await status(kind, other[kind])], ["200"]);
      await eventually("it is in the log", async () => {
        const logs = await guide.ok(
          "for pod in $(kubectl -n istio-system get pods -l app=ztunnel -o name); do kubectl -n istio-system logs --tail=100 $pod; done",
        );
        return new RegExp(
          `src\\.identity="spiffe://cluster\\.local/ns/shop/sa/client-${kind}".*dst\\.workload="server-${other[kind]}-[^"]*".*direction="inbound"`,
        ).test(logs);
      });
    }
  });

  step("each enforces a policy for clients of the other", async () => {
    await apply(
      ...kinds.map((kind) => ({
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: `server-${kind}`, namespace: "shop" },
        spec: {
          selector: { matchLabels: { app: `server-${kind}` } },
          rules: [{ from: [{ source: { principals: [`cluster.local/ns/shop/sa/client-${other[kind]}`] } }] }],
        },
      })),
    );
    const all = async (): Promise<readonly string[]> => [
      await status("upstream", "own"),
      await status("own", "upstream"),
      await status("upstream", "upstream"),
      await status("own", "own"),
    ];
    await becomes(all, ["200", "200", "000", "000"]);
    for (const kind of kinds)
      await guide.ok(
        `kubectl -n shop patch authorizationpolicy server-${kind} --type=json -p '[{"op":"add","path":"/spec/action","value":"DENY"}]'`,
      );
    await becomes(all, ["000", "000", "200", "200"]);
  });
}

/** An application: an account, a Deployment on a node of that kind, and a Service. */
function application(name: string, kind: Kind, container: object): readonly object[] {
  const metadata = { name, namespace: "shop" };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { selector: { app: name }, ports: [{ name: "http", port: 8000, targetPort: 8080 }] },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: {
            serviceAccountName: name,
            nodeSelector: { ztunnel: kind },
            terminationGracePeriodSeconds: 1,
            containers: [{ name: "app", ...container }],
          },
        },
      },
    },
  ];
}

async function becomes(look: () => Promise<readonly string[]>, wanted: readonly string[]): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found.join() === wanted.join() || Date.now() > deadline) return assert.deepEqual(found, wanted);
    await new Promise((done) => setTimeout(done, 200));
  }
}
