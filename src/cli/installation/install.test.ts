import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { describeError, silentLogger, systemClock, userError } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { WebhookConfiguration } from "../../api/kubernetes/index.ts";
import { createKubeClient, loadKubeConfig } from "../../kube/index.ts";
import type { ReportWait } from "../context.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

async function serin(line: string, cluster: FakeCluster = {}): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

async function refused(line: string, text: string, cluster: FakeCluster = {}): Promise<void> {
  await assert.rejects(serin(line, cluster), (error) => {
    assert.equal(describeError(error), text);
    return true;
  });
}

test("a manifest begins with the namespace, ends with webhooks, and contains every object that install applies", async () => {
  const { output } = await serin("manifest generate --set profile=default");
  const objects = parseAllDocuments(output).map(
    (document) => document.toJS() as { kind: string; metadata: { name: string } },
  );
  assert.deepEqual([objects[0]?.kind, objects[0]?.metadata.name], ["Namespace", "istio-system"]);
  assert.equal(objects.at(-1)?.kind, "ValidatingWebhookConfiguration");
  assert.ok(objects.some(({ kind, metadata }) => kind === "Deployment" && metadata.name === "istio-ingressgateway"));
});

test("objects that are installed from an IstioOperator file name it, and those of other installations name none", async () => {
  const ownersOf = async (flags: string, file: string): Promise<readonly string[]> => {
    const { output } = await serin(`manifest generate --component pilot ${flags}`, { files: { "iop.yaml": file } });
    const found = output.matchAll(/install\.operator\.istio\.io\/owning-resource: (\S+)/g);
    return [...new Set([...found].map(([, owner = ""]) => owner))];
  };
  const named = (name: string) =>
    `apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata:\n  name: ${name}\nspec:\n  profile: minimal\n`;
  assert.deepEqual(await ownersOf("-f iop.yaml", named("mesh")), ["mesh"]);
  assert.deepEqual(await ownersOf("-f iop.yaml", named("m".repeat(64))), ["unknown"]);
  assert.deepEqual(await ownersOf("--set profile=minimal", ""), ["unknown"]);
});

test("an installation without a terminal prints its long waits, as in the log of a CI job", async () => {
  const clock = new HandClock();
  const context = Object.assign(new FakeContext({}), { clock });
  const apply = async ({ onWait }: { readonly onWait?: ReportWait }): Promise<void> => {
    onWait?.("", "writing 40 objects of 3 components");
    onWait?.("Deployment istio-system/istiod", "0 of 1 replicas are available");
    await Promise.resolve();
    clock.pass(3_000);
    onWait?.("Deployment istio-system/istiod", undefined);
    onWait?.("DaemonSet istio-system/ztunnel", "0 of 3 nodes run it");
  };
  Object.assign(context.installer, { apply });
  await createProgram(context).parseAsync(["install", "-y"], { from: "user" });
  assert.equal(
    context.errors,
    "  writing 40 objects of 3 components\n  Deployment istio-system/istiod: 0 of 1 replicas are available\n",
  );
  assert.match(context.output, /✔ Installation complete\n$/);
});

test("if a requested component is unknown, the error names those that the installation has", async () => {
  await assert.rejects(serin("manifest generate --component pilot,nope"), /the installation has no component "nope"/);
  await assert.rejects(serin("manifest generate --component pilot,"), /the installation has no component ""/);
  const { output } = await serin("manifest generate --component ztunnel --set profile=ambient");
  assert.match(output, /kind: DaemonSet/);
});

test("hubs, tags and names that no image or object can have are refused at their flag or field", async () => {
  const hub = 'must be a registry and a path in it, such as registry.example.com:5000/mesh, got "Bad//hub"';
  await assert.rejects(serin("manifest generate --set hub=Bad//hub"), new RegExp(`spec\\.hub: ${hub}`));
  await assert.rejects(
    serin("manifest generate --set components.pilot.tag=a/b"),
    /spec\.components\.pilot\.tag: must be an image's tag of letters, digits, "_", "\." and "-", got "a\/b"/,
  );
  await assert.rejects(serin("charts template m istiod --hub Bad//hub"), new RegExp(`--hub:? ${hub}`));
  await assert.rejects(serin("operator dump --hub Bad//hub"), new RegExp(`--hub:? ${hub}`));
  await assert.rejects(serin("operator dump --tag a/b"), /--tag must be an image's tag/);
  await assert.rejects(serin("operator dump --imagePullSecrets a,B"), /--imagePullSecrets: "B" cannot be the name of/);
  assert.match(
    (await serin("operator dump --imagePullSecrets one,two.b")).output,
    /imagePullSecrets:\n +- name: one\n +- name: two\.b\n/,
  );
  assert.doesNotMatch((await serin("operator dump")).output, /imagePullSecrets/);
  await assert.rejects(serin("operator dump -r A_b"), /--revision must have lower-case letters/);
  await assert.rejects(serin("operator dump -o A_b"), /--operatorNamespace: "A_b" cannot be the name of a namespace/);
  await assert.rejects(serin("operator dump --watchedNamespaces a,B"), /--watchedNamespaces: "B" cannot be the name/);
  for (const good of ["localhost:5000", "[::1]:5000/a_b/c-d", "gcr.io/istio-release"])
    assert.match(
      (await serin(`operator dump --hub ${good} --tag 1.2@sha256:${"a".repeat(64)}`)).output,
      /operator:1\.2@/,
    );
});

test("a file that is no IstioOperator is refused, and an empty one gets a warning instead of a silent default installation", async () => {
  const ofFile = async (text: string): Promise<FakeContext> =>
    await serin("manifest generate --component pilot -f f.yaml", { files: { "f.yaml": text } });
  const message = (found: string): object => ({ message: `f.yaml: expected an object with fields, got ${found}` });
  await assert.rejects(ofFile("just text\n"), message("a text or number"));
  await assert.rejects(ofFile("- a\n"), message("a list"));
  await assert.rejects(ofFile("\u0001\u0002"), message("a text or number"));
  assert.equal((await ofFile("# nothing\n")).errors, "! f.yaml is empty, so it changes none of the defaults\n");
});

test("a manifest goes to the file of --output, and the error for a file that cannot be written names it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-manifest-"));
  try {
    const file = join(directory, "mesh.yaml");
    const { output } = await serin(`manifest generate --component pilot -o ${file}`);
    assert.equal(output, "");
    assert.equal(readFileSync(file, "utf8"), (await serin("manifest generate --component pilot")).output);
    await refused(
      `manifest generate -o ${directory}/none/mesh.yaml`,
      `cannot write ${directory}/none/mesh.yaml: there is no such file or directory`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a namespace that a flag names, and that is not the installation's, is reported with the field that sets it", async () => {
  const flagged = await serin("manifest generate -i mesh -n apps --component pilot");
  assert.equal(
    flagged.errors,
    `! --istioNamespace mesh has no effect: the installation's namespace is istio-system; to change it: --set values.global.istioNamespace=mesh
! --namespace apps has no effect: the installation's namespace is istio-system; to change it: --set values.global.istioNamespace=apps
`,
  );
  assert.equal(
    (await serin("manifest generate -d ./charts --component pilot")).errors,
    "! --manifests ./charts has no effect: the objects are those of release 1.18.1\n",
  );
  const set = "manifest generate -i mesh --component pilot --set values.global.istioNamespace=mesh";
  assert.equal((await serin(set)).errors, "");
});

test("a name that objects inherit is no profile, value or field", async () => {
  for (const [line, text] of [
    ["manifest generate --set profile=constructor", 'spec.profile: there is no profile "constructor"'],
    ["profile dump constructor", 'spec.profile: there is no profile "constructor"'],
    ["manifest generate --set values.toString.a=1", "spec.values.toString: is not a key of any release"],
    ["manifest generate --set __proto__.a=1", "spec.__proto__: is not a known field"],
    ["manifest generate --set values.__proto__.a=1", "spec.values.__proto__: is not a key of any release"],
  ] as const)
    await assert.rejects(serin(line), (error) => {
      assert.equal(describeError(error).slice(0, text.length), text);
      return true;
    });
});

test("invalid flags and files are reported with the place and a suggestion", async () => {
  await refused(
    "manifest generate --set profile=ambiant",
    'spec.profile: there is no profile "ambiant"; did you mean "ambient"?; known: ambient, default, demo, empty, minimal, preview, remote, stable',
  );
  await refused(
    "manifest generate --set values.pilot.autoscaleEnable=false",
    "spec.values.pilot.autoscaleEnable: is not a key of any release from 1.6 to 1.31; did you mean spec.values.pilot.autoscaleEnabled?",
  );
  await refused(
    "manifest generate --set component.pilot.enabled=true",
    "spec.component: is not a known field; did you mean components?",
  );
  await refused(
    "manifest generate -f iop.yaml",
    "iop.yaml:3:1: this is not valid YAML: All mapping items must start at the same column",
    {
      files: { "iop.yaml": "spec:\n  profile: default\n components\n" },
    },
  );
  await refused("manifest generate -f gone.yaml", "cannot read gone.yaml: there is no such file or directory");
  await refused(
    "install --readiness-timeout soon -y",
    '--readiness-timeout must look like 90, 300s or 1m30s, got "soon"',
  );
  const context = new FakeContext({});
  await assert.rejects(createProgram(context).parseAsync(["install", "--upgrade-gateway"], { from: "user" }));
  assert.equal(
    context.errors,
    "serin: unknown option '--upgrade-gateway'; did you mean --upgrade-gateways?\n  hint: serin install --help shows its arguments, flags and examples\n",
  );
});

test("an in-place upgrade needs an installed control plane of the same profile", async () => {
  await refused(
    "upgrade -y",
    "there is no control plane istiod in namespace istio-system\n  hint: install one: serin install; or move between revisions: serin upgrade start -f <file>",
  );
  const installed: FakeCluster = {
    objects: {
      Deployment: [
        {
          metadata: { name: "istiod", namespace: "istio-system" },
          spec: { template: { spec: { containers: [{ name: "discovery", image: "h/pilot:1.17.0" }] } } },
        } as never,
      ],
      ConfigMap: [
        {
          metadata: { name: "values", namespace: "istio-system" },
          data: { "merged-values": '{"profile":"ambient"}' },
        } as never,
      ],
    },
  };
  await refused(
    "upgrade -y",
    "the control plane was installed with profile ambient, and the upgrade passes no profile\n  hint: pass the files and flags of the installation again: serin upgrade --set profile=ambient",
    installed,
  );
  const { output } = await serin("upgrade -y --set profile=ambient", installed);
  assert.match(
    output,
    /^Upgrade of Istio 1.17.0 to 1.18.1 in place\n✔ Upgrade complete: the control plane is at 1.18.1\n/,
  );
});

/** A user or an admission webhook may append a digest to the tag of an image. */
const digest = `@sha256:${"0a".repeat(32)}`;

test("an in-place upgrade moves at most two minor releases up and one down, unless forced", async () => {
  const running = (version: string): FakeCluster => ({
    objects: {
      Deployment: [
        {
          metadata: { name: "istiod", namespace: "istio-system" },
          spec: { template: { spec: { containers: [{ name: "discovery", image: `h/pilot:${version}` }] } } },
        } as never,
      ],
    },
  });
  await refused(
    "upgrade -y",
    "Istio 1.15.4 cannot be upgraded to 1.18.1 in place: 3 minor releases at once are too many, and at most 2 are supported\n  hint: upgrade to 1.17 first, install 1.18.1 beside it as a revision, or pass --force",
    running("1.15.4"),
  );
  await refused(
    "upgrade -y",
    "Istio 1.20.0 cannot be downgraded to 1.18.1 in place: 2 minor releases back are too many, and at most 1 is supported\n  hint: downgrade to 1.19 first, install 1.18.1 beside it as a revision, or pass --force",
    running("1.20.0"),
  );
  await refused(
    `upgrade -y --set tag=1.18.1${digest}`,
    "Istio 1.15.4 cannot be upgraded to 1.18.1 in place: 3 minor releases at once are too many, and at most 2 are supported\n  hint: upgrade to 1.17 first, install 1.18.1 beside it as a revision, or pass --force",
    running(`1.15.4${digest}`),
  );
  for (const version of ["1.16.9", "1.18.1", "1.19.0-rc.1", "latest"])
    assert.match((await serin("upgrade -y", running(version))).output, /Upgrade complete/);
  const { output, errors } = await serin("upgrade -y --force", running("1.20.0"));
  assert.match(output, /Upgrade complete/);
  assert.match(errors, /^! Istio 1.20.0 cannot be downgraded to 1.18.1 in place: .*: forced\n/);
});

test("an installation over a control plane of a newer release warns before the question, also in a dry run", async () => {
  const objects = (version: string): NonNullable<FakeCluster["objects"]> => ({
    Deployment: [
      {
        metadata: { name: "istiod", namespace: "istio-system" },
        spec: { template: { spec: { containers: [{ name: "discovery", image: `h/pilot:${version}` }] } } },
      } as never,
    ],
  });
  const warning =
    /^! istiod in namespace istio-system runs release 1.19.0, .* older release 1.18.1.*--revision 1-18-1/m;
  for (const line of ["install", "install --dry-run"]) {
    const context = new FakeContext({ objects: objects("1.19.0"), confirms: true });
    await createProgram(context).parseAsync(line.split(" "), { from: "user" });
    assert.match(context.errors, warning, line);
    const pinned = new FakeContext({ objects: objects(`1.19.0${digest}`), confirms: true });
    await createProgram(pinned).parseAsync(line.split(" "), { from: "user" });
    assert.match(pinned.errors, warning, line);
    const same = new FakeContext({ objects: objects("1.18.1"), confirms: true });
    await createProgram(same).parseAsync(line.split(" "), { from: "user" });
    assert.doesNotMatch(same.errors, /older release/, line);
  }
  const { output } = await serin("upgrade -y", { objects: objects("1.19.0") });
  assert.match(output, /^Downgrade of Istio 1.19.0 to 1.18.1 in place\n/);
});

test("a user who may not read workloads reaches the installer, which names all missing rights", async () => {
  const forbidden = userError("forbidden", "you may not get deployments.apps");
  const context = new FakeContext({ getRefusals: { Deployment: forbidden, DaemonSet: forbidden } });
  let hasReached = false;
  Object.assign(context.installer, { apply: async () => await Promise.resolve(void (hasReached = true)) });
  await createProgram(context).parseAsync(["install", "-y", "--set", "profile=ambient"], { from: "user" });
  assert.equal(hasReached, true);
});

test("an installation that would replace Istio's workloads names them with the way to run beside Istio, also in a dry run", async () => {
  const running = (name: string, image: string): never =>
    ({
      metadata: { name, namespace: "istio-system" },
      spec: { template: { spec: { containers: [{ name: "discovery", image }] } } },
    }) as never;
  const objects = {
    Deployment: [running("istiod", "docker.io/istio/pilot:1.27.1-distroless")],
    DaemonSet: [
      running("istio-cni-node", "registry.istio.io/release/install-cni@sha256:0a"),
      running("ztunnel", "mirror.example.com/istio/ztunnel:1.27.1"),
    ],
  };
  const errors = async (line: string): Promise<string> => (await serin(line, { objects })).errors;
  for (const line of ["install -y --set profile=ambient", "install --dry-run --set profile=ambient"])
    assert.match(
      await errors(line),
      /^! This installation replaces workloads of Istio in place: Deployment istio-system\/istiod \(docker.*distroless\), DaemonSet istio-system\/istio-cni-node \(.*\)\. .*--revision serin/m,
    );
  assert.doesNotMatch(await errors("install -y"), /older release/);
  for (const others of ["--set profile=minimal --revision serin", "--set hub=docker.io/istio"])
    assert.doesNotMatch(await errors(`install -y ${others}`), /workloads of Istio/);
});

test("an installation with the CNI agent warns of the network plugin's settings, also in a dry run, and others do not", async () => {
  const list = JSON.stringify({ items: [{ metadata: { name: "cilium", namespace: "kube-system" } }] });
  const answers = {
    "/apis/apps/v1/daemonsets": list,
    "/api/v1/namespaces/kube-system/configmaps/cilium-config": '{"data":{"cni-exclusive":"true"}}',
  };
  const warning =
    /^! ConfigMap kube-system\/cilium-config: cni-exclusive is true: .*: helm upgrade .* --set cni\.exclusive=false$/m;
  for (const line of ["install -y --set profile=ambient", "install --dry-run --set profile=ambient"])
    assert.match((await serin(line, { answers })).errors, warning, line);
  assert.doesNotMatch((await serin("install -y --set profile=minimal", { answers })).errors, /cilium/);
  const unreadable = { answers, statuses: { "/apis/apps/v1/daemonsets": 403 } };
  assert.doesNotMatch((await serin("install -y --set profile=ambient", unreadable)).errors, /cannot be checked/);
});

test("an installation warns if its values name another domain of Services than CoreDNS", async () => {
  const text = JSON.stringify({ data: { Corefile: ".:53 {\n    kubernetes corp.example in-addr.arpa {\n    }\n}\n" } });
  const answers = { "/api/v1/namespaces/kube-system/configmaps/coredns": text };
  assert.match(
    (await serin("install -y", { answers })).errors,
    /^! Services are below corp\.example, and the mesh's values name cluster\.local: .*clusterDomain=corp\.example/m,
  );
  const right = "install -y --set values.global.proxy.clusterDomain=corp.example";
  assert.doesNotMatch((await serin(right, { answers })).errors, /Services are below/);
});

test("verify-install checks the profile that the revision was installed with", async () => {
  const values = {
    metadata: { name: "values", namespace: "istio-system" },
    data: { "merged-values": '{"profile":"minimal"}' },
  } as never;
  assert.match(
    (await serin("verify-install", { objects: { ConfigMap: [values] } })).output,
    /Checked 0 custom resource definitions\n[\s\S]*✔ Istio is installed and verified successfully\n$/,
  );
});

test("verify-install of a cluster without the installation says so once, and names objects that are missing from one", async () => {
  const refused = async (good: readonly string[], bad: readonly string[]): Promise<string> => {
    const context = new FakeContext({});
    const verify = async (): Promise<object> =>
      await Promise.resolve({ good, bad, absent: bad.length, definitions: 0, deployments: 0 });
    Object.assign(context.installer, { verify });
    return await createProgram(context)
      .parseAsync(["verify-install"], { from: "user" })
      .then(() => "verified", describeError);
  };
  const absent = ["Service: istiod.istio-system: does not exist", "Deployment: istiod.istio-system: does not exist"];
  assert.match(
    await refused([], absent),
    /^none of the 2 objects of this installation exists\n {2}hint: install it \(serin install\)/,
  );
  assert.match(
    await refused(["ConfigMap: istio checked successfully"], absent),
    /\n {2}Service: istiod\.istio-system: does/,
  );
});

test("the error for an unreachable cluster names it, and nothing is reported as installed", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const directory = mkdtempSync(join(tmpdir(), "serin-install-"));
  const file = join(directory, "kubeconfig");
  writeFileSync(
    file,
    `clusters: [{ name: c, cluster: { server: "https://127.0.0.1:${port}" } }]\ncontexts: [{ name: gone, context: { cluster: c, user: u } }]\nusers: [{ name: u, user: { token: t } }]\ncurrent-context: gone\n`,
  );
  const client = createKubeClient(await loadKubeConfig(file), { log: silentLogger, clock: systemClock });
  for (const line of ["upgrade -y", "verify-install", "uninstall --purge", "tag list"]) {
    const context = Object.assign(new FakeContext({}), { connect: async () => client });
    await assert.rejects(createProgram(context).parseAsync(line.split(" "), { from: "user" }), (error) => {
      assert.equal(
        describeError(error),
        `cannot reach the API server at https://127.0.0.1:${port}\n  caused by: connect ECONNREFUSED 127.0.0.1:${port}\n  hint: check that the API server of the context "gone" runs`,
      );
      return true;
    });
    assert.equal(context.output, "");
  }
  client.close();
  rmSync(directory, { recursive: true });
});

const injector = (revision: string, labels: Record<string, string> = {}, names: readonly string[] = []) =>
  ({
    metadata: {
      name: `istio-sidecar-injector-${revision}`,
      labels: { app: "sidecar-injector", "istio.io/rev": revision, ...labels },
    },
    webhooks: ["rev.namespace.sidecar-injector.istio.io", ...names].map((name) => ({
      name,
      clientConfig: {
        service: { name: `istiod-${revision}`, namespace: "istio-system", path: "/inject" },
        caBundle: "Q0E=",
      },
    })),
  }) as never;

const tagged: FakeCluster = {
  objects: {
    Deployment: ["default", "canary"].map((revision) => ({
      metadata: {
        name: `istiod-${revision}`,
        namespace: "istio-system",
        labels: { app: "istiod", "istio.io/rev": revision },
      },
    })),
    MutatingWebhookConfiguration: [
      injector("default", {}, ["namespace.sidecar-injector.istio.io"]),
      injector("canary"),
      {
        metadata: {
          name: "istio-revision-tag-prod",
          labels: { app: "sidecar-injector", "istio.io/rev": "default", "istio.io/tag": "prod" },
        },
      },
    ],
    Namespace: [{ metadata: { name: "shop", labels: { "istio.io/rev": "prod" } } }],
  },
};

test("a tag is set on an existing revision, moved only on request, and listed with its users", async () => {
  await refused(
    "tag set prod --revision odl --manifests charts",
    'cannot modify tag: there is no revision "odl" in the cluster\n  hint: installed: canary, default',
    tagged,
  );
  await refused(
    "tag set prod --revision canary",
    'the tag "prod" already points to revision "default"\n  hint: move it: serin tag set prod --revision canary --overwrite',
    tagged,
  );
  await refused(
    "tag set canary --revision default",
    'the name "canary" is taken by a revision\n  hint: choose another name',
    tagged,
  );
  const moved = await serin("tag set prod --revision canary --overwrite", tagged);
  assert.deepEqual(moved.applied, [
    "Service/istiod-revision-tag-prod",
    "MutatingWebhookConfiguration/istio-revision-tag-prod",
  ]);
  assert.match(moved.output, /^Revision tag "prod" moved, referencing control plane revision "canary"/);
  const again = await serin("tag set prod --revision default", tagged);
  assert.match(again.output, /^Revision tag "prod" written again, referencing control plane revision "default"/);
  assert.equal((await serin("tag list", tagged)).output, "TAG    REVISION   NAMESPACES\nprod   default    shop\n");
});

test("a tag that moves to a control plane in another namespace leaves nothing in the old one", async () => {
  const configurations = (tagged.objects?.["MutatingWebhookConfiguration"] ?? []) as readonly WebhookConfiguration[];
  const elsewhere: FakeCluster = {
    objects: {
      ...tagged.objects,
      MutatingWebhookConfiguration: configurations.map(({ metadata, webhooks = [] }) =>
        metadata.labels?.["istio.io/rev"] !== "canary"
          ? { metadata, webhooks }
          : {
              metadata,
              webhooks: webhooks.map((webhook) => ({
                ...webhook,
                clientConfig: { service: { name: "istiod-canary", namespace: "mesh-canary" } },
              })),
            },
      ),
    },
  };
  assert.deepEqual((await serin("tag set prod --revision canary --overwrite", elsewhere)).applied, [
    "Service/istiod-revision-tag-prod",
    "MutatingWebhookConfiguration/istio-revision-tag-prod-mesh-canary",
    "delete MutatingWebhookConfiguration/istio-revision-tag-prod",
    "delete Service/istiod-revision-tag-prod",
  ]);
});

test("removing a tag removes its Service, and needs a confirmation while namespaces use it", async () => {
  await refused("tag remove prod", "the tag was not removed\n  hint: answer y, or pass --skip-confirmation", tagged);
  const { applied, output } = await serin("tag remove prod -y", tagged);
  assert.deepEqual(applied, [
    "delete MutatingWebhookConfiguration/istio-revision-tag-prod",
    "delete Service/istiod-revision-tag-prod",
  ]);
  assert.equal(output, "Revision tag prod removed\n");
});

test("the tag default disables the unnamed control plane's own webhooks, and works like the revision's", async () => {
  const { applied } = await serin("tag set default --revision canary", tagged);
  assert.deepEqual(applied, [
    "Service/istiod-revision-tag-default",
    "MutatingWebhookConfiguration/istio-revision-tag-default",
    "ValidatingWebhookConfiguration/istiod-default-validator",
    "patch MutatingWebhookConfiguration/istio-sidecar-injector-default",
  ]);
  const { output } = await serin("tag generate default --revision canary", tagged);
  assert.match(output, /name: istiod-canary\n[\s\S]*caBundle: Q0E=/);
});

test("profiles are listed, dumped and compared", async () => {
  assert.match((await serin("profile list")).output, /^Istio configuration profiles:\n {4}ambient\n {4}default\n/);
  const listed = JSON.parse((await serin("profile list -o json")).output) as readonly string[];
  assert.deepEqual(listed.slice(0, 2), ["ambient", "default"]);
  assert.match((await serin("profile list -o yaml")).output, /^- ambient\n- default\n/);
  assert.match((await serin("profile dump ambient --config-path components.cni")).output, /^enabled: true\n$/);
  const context = new FakeContext({});
  await assert.rejects(createProgram(context).parseAsync(["profile", "diff", "default", "minimal"], { from: "user" }), {
    message: "profiles default and minimal differ",
  });
  assert.match(
    context.output,
    /-\s+- enabled: true\n\+\s+- enabled: false\n[\s\S]*-\s+profile: default\n\+\s+profile: minimal\n {4}tag: 1.18.1\n$/,
  );
  assert.equal((await serin("profile diff demo demo")).output, "Profiles are identical\n");
});

test("two manifests are compared object by object", async () => {
  const map = (value: string) => `kind: ConfigMap\nmetadata: { name: a, namespace: n }\ndata: { x: ${value} }\n`;
  const files = {
    "a.yaml": map("one"),
    "b.yaml": map("two"),
    "c.yaml": `${map("one")}---\nkind: Secret\nmetadata: { name: s }\n`,
  };
  assert.equal((await serin("manifest diff a.yaml a.yaml", { files })).output, "Manifests are identical\n");
  await refused("manifest diff a.yaml b.yaml", "1 object differs", { files });
  assert.equal(
    (await serin("manifest diff a.yaml c.yaml --ignore Secret", { files })).output,
    "Manifests are identical\n",
  );
});

test("an IstioOperator file is converted to chart values", async () => {
  const files = {
    "iop.yaml":
      'spec: { profile: minimal, revision: b, hub: h, values: { pilot: { env: { A: x } } }, components: { ingressGateways: [{ name: edge, enabled: true, k8s: { env: [{ name: B, value: "y" }] } }] } }\n',
  };
  const { output } = await serin("manifest translate -f iop.yaml", { files });
  assert.match(
    output,
    /# helm install istiod istio\/istiod -n istio-system -f <this document>\nprofile: minimal\nrevision: b\nglobal:\n {2}hub: h\nenv:\n {2}A: x\n/,
  );
  assert.match(
    output,
    /# helm install edge istio\/gateway [\s\S]*labels:\n {2}istio: ingressgateway\n[\s\S]*env:\n {2}B: "y"\n/,
  );
});

test("files and flags are converted together, and -o writes a file for each chart", async () => {
  const directory = mkdtempSync(join(tmpdir(), "translate-"));
  const files = {
    "a.yaml": "metadata: { name: mine }\nspec: { profile: minimal, values: { pilot: { env: { A: x, B: x } } } }\n",
    "b.yaml": "spec: { values: { pilot: { env: { B: two } } } }\n",
  };
  const line = `manifest translate -f a.yaml -f b.yaml -s values.pilot.env.C=z -r canary -o ${directory}/values`;
  const { output } = await serin(line, { files });
  assert.equal(
    output,
    `helm install istio-base istio/base -n istio-system -f ${directory}/values/istio-base-values.yaml\n` +
      `helm install istiod istio/istiod -n istio-system -f ${directory}/values/istiod-values.yaml\n`,
  );
  const values = readFileSync(join(directory, "values/istiod-values.yaml"), "utf8");
  assert.match(values, /^profile: minimal\nrevision: canary\n[\s\S]*env:\n {2}A: x\n {2}B: two\n {2}C: z\n/);
  assert.doesNotMatch(values, /ownerName/);
  rmSync(directory, { recursive: true });
  const { output: defaults } = await serin("manifest translate");
  assert.deepEqual(
    [...defaults.matchAll(/# helm install (\S+)/g)].map(([, release]) => release),
    ["istio-base", "istiod", "istio-ingressgateway"],
  );
});

test("the values of istiod's chart state that sidecars leave their redirect to an agent, as an installation does", async () => {
  const translated = async (spec: string): Promise<string> =>
    (await serin("manifest translate -f iop.yaml", { files: { "iop.yaml": `spec: { ${spec} }\n` } })).output;
  const stated = /# helm install istiod [^#]*^cni:\n {2}enabled: (true|false)$/m;
  const agent = "profile: minimal, components: { cni: { enabled: true } }";
  assert.equal(stated.exec(await translated(agent))?.[1], "true");
  assert.equal(stated.exec(await translated(`${agent}, values: { pilot: { cni: { enabled: false } } }`))?.[1], "false");
  assert.equal(stated.exec(await translated("profile: minimal")), null);
});

test("an IstioOperator with a profile names all charts, and fields without a chart value get a warning", async () => {
  const files = {
    "iop.yaml":
      "spec: { profile: demo, components: { pilot: { k8s: { hpaSpec: { minReplicas: 2 } } }, ingressGateways: [{ name: istio-ingressgateway, k8s: { serviceAnnotations: { a: b }, strategy: {}, env: [{ name: N, valueFrom: { fieldRef: { fieldPath: metadata.name } } }] } }] } }\n",
  };
  const { output, errors } = await serin("manifest translate -f iop.yaml", { files });
  assert.deepEqual(
    [...output.matchAll(/# helm install (\S+)/g)].map(([, release]) => release),
    ["istio-base", "istiod", "istio-ingressgateway", "istio-egressgateway"],
  );
  assert.match(output, /autoscaleMin: 2\n[\s\S]*annotations:\n {4}a: b\n[\s\S]*type: ClusterIP\n/);
  assert.deepEqual(errors.split("\n").slice(0, -1), [
    "! spec.components.ingressGateways[0].k8s.strategy: the chart gateway has no value for this field; patch the rendered objects",
    "! spec.components.ingressGateways[0].k8s.env (those with a valueFrom): the chart gateway has no value for this field; patch the rendered objects",
  ]);
});

test("a dry run leaves out the newer objects that stay, and names them; --force is passed on", async () => {
  const forces: boolean[] = [];
  const run = async (line: string): Promise<FakeContext> => {
    const context = new FakeContext({});
    const keepNewer: FakeContext["installer"]["keepNewer"] = async (_client, components, force) => {
      forces.push(force);
      return await Promise.resolve({
        components: components.filter(({ name }) => name !== "base"),
        notes: ["keeps the rollout engine"],
      });
    };
    Object.assign(context.installer, { keepNewer });
    await createProgram(context).parseAsync(line.split(" "), { from: "user" });
    return context;
  };
  const { output, errors } = await run("install --dry-run -y");
  assert.match(errors, /^! keeps the rollout engine$/m);
  assert.match(output, /deployment\/istiod in istio-system created/);
  assert.doesNotMatch(output, /serin-rollout/);
  await run("install --dry-run -y --force");
  assert.deepEqual(forces, [false, true]);
});

test("an installation warns of nodes that keep CNI's files elsewhere, unless it names their platform or their folders", async () => {
  const kubeletVersion = "v1.36.0+k3s1";
  const objects = { Node: [{ metadata: { name: "pi" }, status: { nodeInfo: { kubeletVersion } } }] };
  const warned = async (flags: string): Promise<string> => {
    const { errors } = await serin(`install -y ${flags}`, { objects, answers: { "/version": "{}" } });
    return errors;
  };
  assert.match(
    await warned("--set profile=ambient"),
    /^! Node pi is a node of k3s, which keeps CNI files in its own directories, and no pod there would join the mesh: serin install --set values\.global\.platform=k3s /m,
  );
  for (const flags of [
    "--set profile=default",
    "--set profile=ambient --set values.global.platform=k3s",
    "--set profile=ambient --set values.cni.cniConfDir=/etc/own",
  ])
    assert.doesNotMatch(await warned(flags), /k3s/, flags);
});
