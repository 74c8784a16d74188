// Types two how-tos of docs/kubernetes.md in one lab: "Move from Istio, and back", and "Back up and restore". An istiod
// of this release plays Istio's, installed by its charts without the rollout engine. test/support/velero.ts plays
// Velero.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { blockOf, commandsOf, sectionOf } from "../support/typed-blocks.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const page = readFileSync(join(root, "docs/kubernetes.md"), "utf8");
const move = sectionOf(page, "Move from Istio, and back");
const restore = sectionOf(page, "Back up and restore");
const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const guide = new Walkthrough("how-to-pages", kubectl);
const ok = async (line: string): Promise<string> => await guide.ok(line);
const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

const moveCommands = commandsOf(move, "bash");
let typed = 0;

/** Types the next commands of the move, up to the first that begins with this text. */
async function moveUpTo(last: string): Promise<void> {
  for (;;) {
    const line = moveCommands[typed];
    assert.ok(line, `no command of the move begins with ${last}`);
    typed += 1;
    await ok(line);
    if (line.startsWith(last)) return;
  }
}

/** Waits until all pods of the application have a sidecar of this control plane, and no other pods are left. */
async function sidecarsAreOf(istiod: string): Promise<void> {
  await guide.comes(
    `the pods of shop have sidecars of ${istiod}`,
    `kubectl get pods -n shop -o jsonpath='{range .items[*]}{range .spec.initContainers[*].env[?(@.name=="CA_ADDR")]}{.value}{"\\n"}{end}{end}'`,
    new RegExp(`^(${istiod}\\.istio-system\\.svc:15012\n)+$`),
  );
}

const stateOfIstio = async (): Promise<string> =>
  await ok(
    "kubectl get deployment,service,configmap,serviceaccount -n istio-system -l istio.io/rev=default -o jsonpath='{range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.metadata.generation}{\"\\n\"}{end}'",
  );
let istioBefore = "";

before(async () => {
  const created = await guide.lab.createOneNode();
  assert.equal(created.code, 0, created.output);
});
after(async () => await guide.lab.delete());

step("Istio's control plane serves an application with sidecars", async () => {
  await ok("kubectl create namespace istio-system");
  await ok(
    "serin charts template istio-base base -n istio-system --set rollout.enabled=false | kubectl apply --server-side -f -",
  );
  await ok("serin charts template istiod istiod -n istio-system | kubectl apply -f -");
  await ok("kubectl rollout status deployment/istiod -n istio-system --timeout=120s");
  await ok("kubectl create namespace shop && kubectl label namespace shop istio-injection=enabled");
  await ok(`kubectl apply -n shop -f ${root}/samples/canary/web.yaml`);
  await ok(
    `kubectl create deployment -n shop users --image=curlimages/curl -- sh -c 'while sleep 0.2; do curl -s -o /dev/null --rate 20/s "http://web/?[1-200]"; done'`,
  );
  await ok("kubectl wait -n shop --for=condition=Available deployment --all --timeout=180s");
  await sidecarsAreOf("istiod");
  istioBefore = await stateOfIstio();
  assert.match(istioBefore, /Deployment istiod /);
});

step("the upgrade of the page moves the application to Serin, and its undo moves it back", async () => {
  writeFileSync(join(guide.lab.directory, "upgrade.yaml"), blockOf(move, "yaml") ?? "");
  await moveUpTo("kubectl wait meshupgrade/to-serin");
  await sidecarsAreOf("istiod-serin");
  await moveUpTo("serin upgrade rollback");
  await sidecarsAreOf("istiod");
  await moveUpTo("serin uninstall --revision serin");
  assert.equal(await stateOfIstio(), istioBefore);
});

const canary = JSON.stringify({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: {
    target: { deployment: { name: "web", service: "web" } },
    steps: [{ weight: 50, pause: { untilApproved: true } }, { weight: 100 }],
    checks: [{ type: "request-success-rate", minSamples: 30 }],
  },
});

const stateOfCanary = async (): Promise<string> =>
  await ok(
    "kubectl get canary -n shop web -o jsonpath='{.status.phase} {.status.pauseReason} {.status.run} {.status.step.id} {.metadata.annotations.rollout\\.serin\\.dev/author}'",
  );

step("a Canary that a new cluster gets back from Velero waits at the step of its backup, and completes", async () => {
  await ok(`kubectl apply -f - <<'EOF'\n${canary}\nEOF`);
  await ok("kubectl wait -n shop canary/web --for=jsonpath='{.status.phase}'=Watching --timeout=60s");
  await ok("kubectl set image -n shop deployment/web web=quay.io/shardul/nginx:v2");
  await ok("kubectl wait -n shop canary/web --for=jsonpath='{.status.phase}'=Paused --timeout=120s");
  const before = await stateOfCanary();
  await takeBackup();
  await loseNamespace();
  await ok("kubectl create clusterrolebinding velero --clusterrole=cluster-admin --serviceaccount=velero:velero");
  const standIn = `velero() { '${process.execPath}' '${join(root, "test/support/velero.ts")}' "$@"; }`;
  for (const line of commandsOf(restore)) await ok(`${standIn}\n${line.replace("BACKUP", "backup")}`);
  await ok("kubectl rollout status deployment/serin-rollout -n serin-system --timeout=60s");
  await ok("kubectl wait -n shop --for=condition=Available deployment --all --timeout=120s");
  assert.equal(await stateOfCanary(), before);
  await ok("serin canary promote web -n shop");
  await ok("kubectl wait -n shop canary/web --for=condition=Completed --timeout=120s");
});

/**
 * Writes to files what a backup contains: the application's objects, the Canary with its journal, and the author's key.
 */
async function takeBackup(): Promise<void> {
  const parts = [
    "namespace shop",
    "-n shop deployments,replicasets,services,virtualservices,destinationrules,canaries",
    "rolloutjournals",
    "-n serin-system secrets serin-rollout-author",
  ];
  const items: unknown[] = [];
  for (const part of parts) {
    const found = JSON.parse(await ok(`kubectl get ${part} -o json`)) as { readonly items?: readonly unknown[] };
    items.push(...(found.items ?? [found]));
  }
  writeFileSync(join(guide.lab.directory, "backup.json"), JSON.stringify({ items }));
}

/** Makes the cluster like a new one with Serin: the application is gone, and the key is another one. */
async function loseNamespace(): Promise<void> {
  await ok("kubectl scale deployment/serin-rollout -n serin-system --replicas=0");
  await ok("kubectl wait --for=delete pod -n serin-system -l app=serin-rollout --timeout=60s");
  await ok(`kubectl patch canary -n shop web --type=merge -p '{"metadata":{"finalizers":null}}'`);
  await ok("kubectl delete rolloutjournals --all && kubectl delete secret -n serin-system serin-rollout-author");
  await ok("kubectl delete namespace shop --timeout=120s");
  await ok("kubectl scale deployment/serin-rollout -n serin-system --replicas=1");
  await guide.comes(
    "the new engine has made a key",
    "kubectl get secret -n serin-system serin-rollout-author -o name",
    /serin-rollout-author/,
  );
}

step("the last commands of the move remove what is left of Serin, and nothing of Istio's", async () => {
  await ok("kubectl delete canary -n shop web");
  await moveUpTo("kubectl delete customresourcedefinitions");
  assert.equal(typed, moveCommands.length, "every command of the move was typed");
  const kinds =
    "customresourcedefinitions,namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,roles -A";
  const names = await ok(`kubectl get ${kinds} -o name`);
  assert.deepEqual(
    names.split("\n").filter((name) => /serin/.test(name)),
    [],
  );
  assert.equal(await stateOfIstio(), istioBefore);
  await sidecarsAreOf("istiod");
});
