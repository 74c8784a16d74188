import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../api/index.ts";
import { customResourceDefinitionKind, deploymentKind } from "../api/kubernetes/index.ts";
import { describeError, systemClock, treeAt, type Clock } from "../base/index.ts";
import type { ApplyOptions } from "../kube/index.ts";
import { istioRelease } from "./newer-shared.ts";
import { definition, install, virtualServices } from "./testing/install-profile.ts";
import { MemoryCluster } from "./testing/memory-cluster.ts";

const gateways = "gateways.networking.istio.io";
const canaries = "canaries.rollout.serin.dev";
const freezes = "freezes.rollout.serin.dev";

interface Validator extends KubernetesObject {
  readonly webhooks: readonly { readonly failurePolicy?: string; readonly clientConfig?: object }[];
}

/**
 * A clock whose sleepers wake in the next turn of the event loop. The clock has advanced to their time by then.
 * Sleepers with an earlier time, such as the renewal of a lock, wake first.
 */
function clockOfTurns(): Clock {
  let nowMs = 0;
  return {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms, signal) => {
      if (signal !== undefined) return await systemClock.sleep(ms, signal);
      nowMs += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const refusal = (text: string) => (error: unknown) => {
  assert.equal(describeError(error), text);
  return true;
};

test("webhooks follow the objects that they lead to, and the first revision becomes the default", async () => {
  const cluster = new MemoryCluster();
  const { done, notes } = await install(cluster, []);
  assert.deepEqual([done, notes], [["Istio core installed", "Istiod installed", "Ingress gateways installed"], []]);
  const order = [
    "Namespace/istio-system",
    "CustomResourceDefinition/virtualservices.networking.istio.io",
    // The engine is ready once the API server trusts its webhooks.
    "MutatingWebhookConfiguration/serin-rollout-author",
    "ValidatingWebhookConfiguration/serin-rollout",
    "ServiceAccount/istio-system/istiod",
    "Deployment/istio-system/istiod",
    "MutatingWebhookConfiguration/istio-sidecar-injector",
    "ValidatingWebhookConfiguration/istiod-default-validator",
  ];
  assert.deepEqual(
    cluster.writes
      .filter((write) => order.includes(write.slice("apply ".length)))
      .map((write) => write.slice("apply ".length)),
    order,
  );
  assert.equal(cluster.find("Lease", "serin-install", "istio-system")?.["spec"] === undefined, false);
});

test("a second revision does not move gateways, default and tags, and the output reports that", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["values.revisionTags={prod}"]);
  const { notes } = await install(cluster, ["revision=canary", "values.revisionTags={prod}"]);
  assert.deepEqual(notes, [
    `tag "prod" stays on revision "default"; to move it: serin tag set prod --revision canary --overwrite`,
    `gateway istio-system/istio-ingressgateway stays on revision "default"; --upgrade-gateways moves it to "canary"`,
    `revision "default" stays the default: its injector and its validator are unchanged`,
  ]);
  const revisionOf = (kind: string, name: string, namespace?: string) =>
    cluster.find(kind, name, namespace)?.metadata.labels?.["istio.io/rev"];
  assert.equal(revisionOf("Deployment", "istio-ingressgateway", "istio-system"), "default");
  assert.equal(revisionOf("MutatingWebhookConfiguration", "istio-revision-tag-prod"), "default");
  for (const tag of ["prod", "default"])
    assert.equal(revisionOf("Service", `istiod-revision-tag-${tag}`, "istio-system"), "default");
  assert.equal(revisionOf("ValidatingWebhookConfiguration", "istiod-default-validator"), "default");
  await install(cluster, ["revision=canary"], { upgradeGateways: true });
  assert.equal(revisionOf("Deployment", "istio-ingressgateway", "istio-system"), "canary");
});

test("a repeated installation keeps validation closed for the server that closed it, and opens it for another", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, []);
  const validator = (): Validator => {
    const found: unknown = cluster.find("ValidatingWebhookConfiguration", "istiod-default-validator");
    return found as Validator;
  };
  const policyOf = (): unknown => validator().webhooks[0]?.failurePolicy;
  assert.equal(policyOf(), "Ignore");
  const found = validator();
  const closed = (webhook: Validator["webhooks"][number]) => ({ ...webhook, failurePolicy: "Fail" });
  cluster.put("ValidatingWebhookConfiguration", { ...found, webhooks: found.webhooks.map(closed) } as KubernetesObject);
  await install(cluster, []);
  assert.equal(policyOf(), "Fail");
  const elsewhere = closed({ ...found.webhooks[0], clientConfig: { url: "https://other.example" } });
  cluster.put("ValidatingWebhookConfiguration", { ...found, webhooks: [elsewhere] } as KubernetesObject);
  await install(cluster, []);
  assert.equal(policyOf(), "Ignore");
});

test("an interrupted installation continues where it stopped", async () => {
  const cluster = new MemoryCluster();
  let writes = 0;
  cluster.onWrite = () => {
    writes += 1;
    if (writes === 20) throw new Error("the machine is switched off");
  };
  await assert.rejects(install(cluster, []), /switched off/);
  assert.deepEqual(cluster.names("MutatingWebhookConfiguration"), ["serin-rollout-author"]);
  const { done } = await install(cluster, []);
  assert.equal(done.length, 3);
});

test("a killed installation is resumed when its lock expires, with exactly the same objects", async () => {
  const complete = new MemoryCluster();
  await install(complete, ["profile=ambient"]);
  const all = complete.writes.filter((write) => write.startsWith("apply ")).toSorted();
  for (const end of [1, 7, 25, all.length - 2]) {
    const cluster = new MemoryCluster();
    let isDead = false;
    cluster.onWrite = () => {
      isDead ||= cluster.writes.length === end;
      // A killed process writes nothing, so it also does not release its lock.
      if (isDead) throw new Error("killed");
    };
    await assert.rejects(install(cluster, ["profile=ambient"], { identity: "dead" }), /killed/);
    cluster.onWrite = () => undefined;
    for (const name of ["serin-install-default", "serin-install"]) {
      cluster.put("Lease", {
        metadata: { name, namespace: "istio-system" },
        spec: { holderIdentity: "dead", renewTime: "2026-01-01T00:00:00Z" },
      } as never);
    }
    const clock = clockOfTurns();
    const { done, notes } = await install(cluster, ["profile=ambient"], { identity: "next", clock });
    assert.deepEqual(notes, ["dead is installing at the moment; waiting for it to end"]);
    assert.ok(clock.steadyMs() < 20_000, "it waited for one lock only");
    assert.equal(done.length, 5);
    assert.deepEqual([...new Set(cluster.writes.filter((write) => write.startsWith("apply ")))].toSorted(), all);
  }
});

test("concurrent installations wait: for the same revision until its end, for another while it writes", async () => {
  const lease = (name: string, holderIdentity: string): void => {
    cluster.put("Lease", {
      metadata: { name, namespace: "istio-system" },
      spec: { holderIdentity, renewTime: "2026-01-01T00:00:00Z" },
    } as never);
  };
  const cluster = new MemoryCluster();
  const held: readonly (readonly [name: string, notes: readonly string[]])[] = [
    ["serin-install-default", ["ann@there (pid 7) is installing at the moment; waiting for it to end"]],
    ["serin-install", []],
  ];
  for (const [name, notes] of held) {
    const before = cluster.writes.length;
    lease(name, "ann@there (pid 7)");
    const second = install(cluster, [], { identity: "me" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(
      cluster.writes.slice(before).filter((write) => !/Lease|Namespace/.test(write)),
      [],
    );
    lease(name, "");
    assert.deepEqual((await second).notes, notes);
  }
});

test("an installation takes its turn soon after another one has written", async () => {
  const cluster = new MemoryCluster();
  const clock = clockOfTurns();
  const writesForMs = 300;
  const held = (holderIdentity: string): void =>
    void cluster.put("Lease", {
      metadata: { name: "serin-install", namespace: "istio-system" },
      spec: { holderIdentity, renewTime: "2026-01-01T00:00:00Z" },
    } as never);
  held("ann@there (pid 7)");
  const passing: Clock = {
    ...clock,
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal);
      if (clock.steadyMs() >= writesForMs) held("");
    },
  };
  let tookTurnMs: number | undefined;
  cluster.onWrite = (write) => {
    if (write.startsWith("apply ") && !write.includes("Namespace")) tookTurnMs ??= clock.steadyMs();
  };
  await install(cluster, [], { clock: passing });
  assert.ok(tookTurnMs !== undefined && tookTurnMs >= writesForMs && tookTurnMs <= 350, `${tookTurnMs} ms`);
});

test("nothing is written if a name is taken, or definitions, rights or ownership are missing", async () => {
  const cluster = new MemoryCluster();
  const refused = async (flags: readonly string[], text: string): Promise<void> => {
    const before = cluster.writes.length;
    await assert.rejects(install(cluster, flags), refusal(text));
    assert.equal(cluster.writes.length, before);
  };
  await refused(
    ["components.base.enabled=false"],
    "the definitions of Istio's kinds (virtualservices.networking.istio.io, …) are not in the cluster, and this installation does not include them\n  hint: enable components.base, or install it first: serin install --set profile=empty --set components.base.enabled=true",
  );
  cluster.put("MutatingWebhookConfiguration", {
    metadata: {
      name: "istio-revision-tag-prod",
      labels: { app: "sidecar-injector", "istio.io/tag": "prod", "istio.io/rev": "old" },
    },
  });
  await refused(
    ["revision=prod"],
    `revision "prod" cannot be installed: a tag of that name refers to revision "old"\n  hint: choose another name, or remove the tag: serin tag remove prod`,
  );
  cluster.put("Deployment", {
    metadata: { name: "istiod-b", namespace: "elsewhere", labels: { app: "istiod", "istio.io/rev": "b" } },
  });
  await refused(
    ["values.revisionTags={b}"],
    `the tag "b" cannot be created: a revision of that name is installed\n  hint: choose another name in spec.values.revisionTags`,
  );
  await refused(
    ["revision=b"],
    `revision "b" is already installed in namespace elsewhere, and cannot be in istio-system too\n  hint: choose another name: webhooks find a revision by its name alone`,
  );
  cluster.put("Deployment", {
    metadata: {
      name: "istiod",
      namespace: "istio-system",
      ownerReferences: [{ apiVersion: "v1beta1", kind: "Istio", name: "istio-sample", uid: "1", controller: true }],
    },
  });
  await refused(
    [],
    "nothing was written, because other owners manage objects of these names:\n  Deployment istio-system/istiod belongs to Istio istio-sample\n  hint: install under another revision (--revision), or delete their owner first",
  );
  cluster.denied.add("create clusterroles").add("patch clusterroles");
  await refused(
    ["profile=minimal", "revision=c"],
    "nothing was written, because you lack rights that this installation needs:\n  create, patch clusterroles.rbac.authorization.k8s.io\n  hint: use the kubeconfig of a cluster administrator, or ask one for these rights",
  );
});

test("a component that stays unready holds up no other's webhooks, and its error ends the installation", async () => {
  const cluster = new MemoryCluster();
  cluster.held.add("Deployment/serin-system/serin-rollout");
  await assert.rejects(
    install(cluster, [], { clock: clockOfTurns() }),
    /^SerinError: Deployment serin-system\/serin-rollout was not ready after 60 s: /,
  );
  assert.ok(cluster.names("MutatingWebhookConfiguration").includes("istio-sidecar-injector"));
});

test("an installation whose pods cannot start fails early with the kubelet's reason", async () => {
  const cluster = new MemoryCluster();
  cluster.held.add("Deployment/istio-system/istiod");
  cluster.put("Pod", {
    metadata: { name: "istiod-1", namespace: "istio-system", labels: { app: "istiod", istio: "pilot" } },
    status: {
      containerStatuses: [
        {
          name: "discovery",
          state: {
            waiting: {
              reason: "CreateContainerConfigError",
              message: "container has runAsNonRoot and image will run as root",
            },
          },
        },
      ],
    },
  } as never);
  const clock = clockOfTurns();
  await assert.rejects(install(cluster, [], { clock }), (error: unknown) => {
    const text = describeError(error);
    assert.match(text, /^Deployment istio-system\/istiod cannot become ready: .+; pod /);
    assert.match(text, /container discovery: CreateContainerConfigError: container has runAsNonRoot/);
    assert.match(text, /hint: /);
    return true;
  });
  assert.ok(clock.steadyMs() < 20_000, `${clock.steadyMs()} ms`);
});

test("an installation fails with the obstacle of another workload if the awaited one depends on it", async () => {
  const cluster = new MemoryCluster();
  cluster.held.add("Deployment/istio-system/istiod");
  cluster.put("Pod", {
    metadata: { name: "ztunnel-1", namespace: "istio-system", labels: { app: "ztunnel" } },
    spec: { nodeName: "n2", containers: [] },
    status: {
      containerStatuses: [
        { name: "istio-proxy", state: { waiting: { reason: "ErrImagePull", message: "no such tag" } } },
      ],
    },
  } as never);
  const clock = clockOfTurns();
  await assert.rejects(install(cluster, ["profile=ambient"], { clock }), (error: unknown) => {
    const text = describeError(error);
    assert.match(
      text,
      /^DaemonSet istio-system\/ztunnel cannot become ready: pod istio-system\/ztunnel-1 on node n2: /,
    );
    assert.match(text, /ErrImagePull: no such tag/);
    return true;
  });
  assert.ok(clock.steadyMs() < 20_000, `${clock.steadyMs()} ms`);
});

test("a definition is not read again if the answer to its write shows that it is served", async () => {
  const readsOf = async (answersStatus: boolean): Promise<number> => {
    let reads = 0;
    class Cluster extends MemoryCluster {
      override async get<Value extends KubernetesObject>(
        kind: KindDefinition<Value>,
        name: string,
        namespace?: string,
      ): Promise<Value | undefined> {
        if (kind.kind === "CustomResourceDefinition") reads += 1;
        return await super.get(kind, name, namespace);
      }
      override async apply<Value extends KubernetesObject>(
        kind: KindDefinition<Value>,
        object: Value,
        options: ApplyOptions,
      ): Promise<Value> {
        const answer = await super.apply(kind, object, options);
        return answersStatus ? answer : object;
      }
    }
    await install(new Cluster(), []);
    return reads;
  };
  // The installer looks three times for traces of other installations, and once for a newer release of the CRD.
  assert.equal(await readsOf(true), 4);
  assert.equal(await readsOf(false), 5);
});

test("a workload that becomes ready after three seconds is read about thirty times, not every 40 ms", async () => {
  let reads = 0;
  const clock = clockOfTurns();
  class Cluster extends MemoryCluster {
    override async get<Value extends KubernetesObject>(
      kind: KindDefinition<Value>,
      name: string,
      namespace?: string,
    ): Promise<Value | undefined> {
      if (name === "istiod") reads += 1;
      if (name === "istiod" && clock.steadyMs() > 3_000) this.release("Deployment", "istio-system", "istiod");
      return await super.get(kind, name, namespace);
    }
  }
  const cluster = new Cluster();
  cluster.held.add("Deployment/istio-system/istiod");
  await install(cluster, [], { clock });
  assert.ok(reads > 10 && reads < 40, `${reads} reads`);
  assert.ok(clock.steadyMs() < 3_500, `${clock.steadyMs()} ms`);
});

test("an older release replaces a newer engine and newer definitions only by force, and each time names them", async () => {
  const cluster = new MemoryCluster();
  const releases = async (): Promise<readonly (string | undefined)[]> =>
    [
      await cluster.get(deploymentKind, "serin-rollout", "serin-system"),
      await cluster.get(customResourceDefinitionKind, "virtualservices.networking.istio.io"),
      await cluster.get(deploymentKind, "istiod-old", "istio-system"),
    ].map((object) => object?.metadata.labels?.["app.kubernetes.io/version"]);
  await install(cluster, ["tag=1.19.0"]);
  assert.deepEqual((await install(cluster, ["tag=1.19.0", "revision=same"])).notes.filter(isOfNewer), []);
  const { notes, done } = await install(cluster, ["tag=1.19.0-alpha.1", "revision=old"]);
  assert.deepEqual(await releases(), ["1.19.0", "1.19.0", "1.19.0-alpha.1"]);
  assert.deepEqual(notes.filter(isOfNewer), [
    `keeps the definitions of Istio's kinds of release 1.19.0, which is newer than 1.19.0-alpha.1: ${virtualServices}; to replace them: serin install --force`,
    "keeps the rollout engine of release 1.19.0, which is newer than 1.19.0-alpha.1: Deployment serin-rollout; to replace it: serin install --force",
  ]);
  assert.ok(done.includes("Istio core installed"));
  const forced = await install(cluster, ["tag=1.18.2", "revision=old"], { replaceNewer: true });
  assert.deepEqual(await releases(), ["1.18.2", "1.18.2", "1.18.2"]);
  assert.match(
    forced.notes.filter(isOfNewer).join(),
    /replaces, by --force, the definitions of Istio's kinds of release 1\.19\.0/,
  );
  await install(cluster, ["tag=latest"]);
  assert.equal((await releases())[0], "latest", "names of images are not compared");
  assert.deepEqual((await install(cluster, ["tag=1.18.10"])).notes.filter(isOfNewer), []);
});

test("each definition is kept, written or created by its own release, whatever the others and the engine are", async () => {
  const cluster = new MemoryCluster();
  const releases = async (...names: readonly string[]): Promise<readonly (string | undefined)[]> =>
    await Promise.all(
      names.map(
        async (name) =>
          (await cluster.get(customResourceDefinitionKind, name))?.metadata.labels?.["app.kubernetes.io/version"],
      ),
    );
  await install(cluster, ["tag=1.17.0"], { definitions: [gateways, freezes] });
  // Two cases: a newer installation that was interrupted, and a newer release without two of the kinds.
  await install(cluster, ["tag=1.19.0"], { definitions: [virtualServices, canaries] });
  await cluster.delete(deploymentKind, "serin-rollout", "serin-system");
  const dropped = "envoyfilters.networking.istio.io";
  const names = [virtualServices, gateways, dropped, canaries, freezes];
  const { notes } = await install(cluster, ["tag=1.18.0"], { definitions: names });
  assert.deepEqual(await releases(...names), ["1.19.0", "1.18.0", "1.18.0", "1.19.0", "1.18.0"]);
  assert.deepEqual(
    notes.filter(isOfNewer).map((note) => note.replace(/;.*/, "")),
    [
      `keeps the definitions of Istio's kinds of release 1.19.0, which is newer than 1.18.0: ${virtualServices}`,
      `keeps the definitions of the rollout engine's kinds of release 1.19.0, which is newer than 1.18.0: ${canaries}`,
    ],
  );
  const engine = await cluster.get(deploymentKind, "serin-rollout", "serin-system");
  assert.equal(engine?.metadata.labels?.["app.kubernetes.io/version"], "1.18.0");
});

test("a definition of the engine without a release is as new as the engine", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["tag=1.19.0"]);
  cluster.put("CustomResourceDefinition", definition(canaries));
  const { notes } = await install(cluster, ["tag=1.18.0"], { definitions: [canaries, freezes] });
  const created = await cluster.get(customResourceDefinitionKind, freezes);
  const kept = await cluster.get(customResourceDefinitionKind, canaries);
  assert.equal(kept?.metadata.labels, undefined);
  assert.equal(created?.metadata.labels?.["app.kubernetes.io/version"], "1.18.0");
  assert.match(notes.join("\n"), /keeps the definitions of the rollout engine's kinds of release 1\.19\.0.*: canaries/);
});

test("a variant of the installed release, and a build after it, replace its engine and its definitions", async () => {
  for (const tag of ["1.19.0-distroless", "1.19.0-debug", "1.19.0-5-gabc"]) {
    const cluster = new MemoryCluster();
    await install(cluster, ["tag=1.19.0"]);
    const { notes } = await install(cluster, [`tag=${tag}`]);
    assert.deepEqual(notes.filter(isOfNewer), []);
    const engine = await cluster.get(deploymentKind, "serin-rollout", "serin-system");
    assert.equal(engine?.metadata.labels?.["app.kubernetes.io/version"], tag);
  }
});

test("an older release of Istio's definitions is replaced, and a newer one is kept, whatever the number of our release is", async () => {
  const cluster = new MemoryCluster();
  // Istio's charts have written this label since 1.24.
  const versionOf = "app.kubernetes.io/version";
  const ofIstio = (name: string, release: string): UntypedObject => ({
    ...definition(name),
    metadata: { name, labels: { [versionOf]: release } },
  });
  cluster.put("CustomResourceDefinition", ofIstio(virtualServices, "1.26.3"));
  cluster.put("CustomResourceDefinition", ofIstio(gateways, "1.32.0"));
  const { notes } = await install(cluster, ["tag=0.2.0"], { definitions: [virtualServices, gateways] });
  const releaseOf = async (name: string): Promise<string | undefined> =>
    (await cluster.get(customResourceDefinitionKind, name))?.metadata.labels?.[versionOf];
  assert.deepEqual([await releaseOf(virtualServices), await releaseOf(gateways)], ["0.2.0", "1.32.0"]);
  assert.deepEqual(notes.filter(isOfNewer), [
    `keeps the definitions of Istio's kinds of release 1.32.0, which is newer than ${istioRelease}: ${gateways}; to replace them: serin install --force`,
  ]);
  // Istio's installer has written over Serin's CRD, and left Serin's annotation.
  const { metadata } = (await cluster.get(customResourceDefinitionKind, virtualServices)) ?? { metadata: {} };
  cluster.put("CustomResourceDefinition", {
    ...definition(virtualServices),
    metadata: { ...metadata, labels: { [versionOf]: "1.27.0" } },
  });
  await install(cluster, ["tag=0.2.0"], { definitions: [virtualServices, gateways] });
  assert.equal(await releaseOf(virtualServices), "0.2.0");
});

test("an installation names the Helm release whose definitions it writes, and none whose definitions it keeps", async () => {
  const cluster = new MemoryCluster();
  const ofHelm = (name: string, release: string): UntypedObject => ({
    ...definition(name),
    metadata: {
      name,
      labels: { "app.kubernetes.io/version": release },
      annotations: { "meta.helm.sh/release-name": "istio-base", "meta.helm.sh/release-namespace": "istio-system" },
    },
  });
  cluster.put("CustomResourceDefinition", ofHelm(virtualServices, "1.26.3"));
  cluster.put("CustomResourceDefinition", ofHelm(gateways, "1.32.0"));
  const { notes } = await install(cluster, ["tag=0.2.0"], { definitions: [virtualServices, gateways] });
  assert.deepEqual(
    notes.filter((note) => note.includes("Helm")),
    [
      `writes definitions that the Helm release istio-system/istio-base owns: ${virtualServices}; if that release was installed by Helm 4, its next upgrade needs helm upgrade --force-conflicts`,
    ],
  );
});

test("a vendor's build of Istio's definitions is compared by its release of Istio", async () => {
  const versionOf = "app.kubernetes.io/version";
  for (const [release, stays] of [
    ["1.32.0-tetrate0", true],
    ["v1.32.1-asm.4", true],
    ["1.30.2-tetrate0", false],
    [`${istioRelease}-solo`, false],
  ] as const) {
    const cluster = new MemoryCluster();
    cluster.put("CustomResourceDefinition", {
      ...definition(virtualServices),
      metadata: { name: virtualServices, labels: { [versionOf]: release } },
    });
    await install(cluster, ["tag=0.2.0"]);
    const installed = await cluster.get(customResourceDefinitionKind, virtualServices);
    assert.equal(installed?.metadata.labels?.[versionOf], stays ? release : "0.2.0", release);
  }
});

test("the installer and the guide compare Istio's definitions with the release from which ours come", () => {
  const file = readFileSync(join(import.meta.dirname, "../../manifests/crds/istio.yaml"), "utf8");
  assert.equal(/istio\.io\/api v(\S+) /.exec(file)?.[1], istioRelease);
  const guide = readFileSync(join(import.meta.dirname, "../../docs/kubernetes.md"), "utf8");
  const named = [...guide.matchAll(/release\s+(?:is\s+)?above\s+(\d+\.\d+\.\d+)/g)].map(([, release]) => release);
  assert.deepEqual(named, [istioRelease, istioRelease]);
});

test("an installation over a workload of the same name keeps its selector, or writes nothing if that selects other pods", async () => {
  const cluster = new MemoryCluster();
  const present = (matchLabels: Readonly<Record<string, string>>): void => {
    const metadata = { name: "istiod", namespace: "istio-system", labels: { app: "istiod" } };
    cluster.put("Deployment", { metadata, spec: { selector: { matchLabels } } } as KubernetesObject);
  };
  // The selector of upstream Istio's charts.
  present({ istio: "pilot" });
  await install(cluster, ["profile=minimal"]);
  const installed = cluster.find("Deployment", "istiod", "istio-system");
  assert.deepEqual(treeAt(installed, "spec", "selector"), { matchLabels: { istio: "pilot" } });
  assert.notEqual(treeAt(installed, "spec", "template"), undefined);
  present({ app: "other" });
  const before = cluster.writes.length;
  await assert.rejects(
    install(cluster, ["profile=minimal"]),
    refusal(
      "nothing was written, because workloads of these names select other pods than this installation's, and a selector cannot be changed:\n  Deployment istio-system/istiod selects app=other\n  hint: install under another revision (--revision), or delete these workloads first; istio-cni-node and gateways have one name for all revisions: delete those",
    ),
  );
  assert.equal(cluster.writes.length, before);
});

function isOfNewer(note: string): boolean {
  return /newer|--force/.test(note);
}
