// A sidecar with the interception mode TPROXY in a lab: its application sees the addresses of its clients, whether they
// have a sidecar or not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { clientAddress, interceptedServer } from "../support/intercepted-server.ts";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const guide = new Walkthrough("transparent-sidecar", kubectl);
const ok = async (line: string): Promise<string> => await guide.ok(line);
const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

const curl = join(root, "samples/curl/curl.yaml");
before(async () => {
  const created = await guide.lab.createOneNode();
  assert.equal(created.code, 0, created.output);
  await ok("istioctl install -y --set profile=minimal");
  await ok(
    "kubectl create namespace meshed && kubectl label namespace meshed istio-injection=enabled && kubectl create namespace plain",
  );
  await ok(
    `kubectl apply -n meshed -f ${curl} && kubectl apply -n plain -f ${curl} && kubectl apply -f - <<EOF\n${interceptedServer("meshed", "seen", "TPROXY")}\n---\n${interceptedServer("meshed", "hidden", "REDIRECT")}\nEOF`,
  );
  await ok(
    "for name in meshed plain; do kubectl wait -n $name --for=condition=Available deployment --all --timeout=90s; done",
  );
});

after(async () => await guide.lab.delete());

async function describeRequest(host: string, namespace: "meshed" | "plain"): Promise<string> {
  return await ok(`kubectl exec -n ${namespace} deploy/curl -c curl -- curl -sS -m 5 http://${host}.meshed/`);
}

async function addressOf(namespace: string, app: string): Promise<string> {
  return (await ok(`kubectl get pod -n ${namespace} -l app=${app} -o jsonpath='{.items[0].status.podIP}'`)).trim();
}

step("the application sees the address of a client with a sidecar, over mutual TLS", async () => {
  const answer = await describeRequest("seen", "meshed");
  assert.equal(clientAddress(answer), await addressOf("meshed", "curl"), answer);
  assert.match(answer, /^\tx-forwarded-client-cert=.*spiffe:\/\/cluster\.local\/ns\/meshed\/sa\/curl/m);
});

step("the application sees the address of a client outside the mesh", async () => {
  const answer = await describeRequest("seen", "plain");
  assert.equal(clientAddress(answer), await addressOf("plain", "curl"), answer);
});

step("without the mode, the application sees the proxy's own address", async () => {
  assert.equal(clientAddress(await describeRequest("hidden", "meshed")), "127.0.0.6");
});

step("the pod's own requests go through its sidecar, to other pods and to itself", async () => {
  const own = async (url: string): Promise<string> =>
    await ok(`kubectl exec -n meshed deploy/seen -c curl -- curl -sS -m 5 ${url}`);
  assert.match(await own("http://hidden.meshed/"), /^\tx-forwarded-client-cert=.*\/ns\/meshed\/sa\/default/m);
  assert.match(await own(`http://${await addressOf("meshed", "seen")}:8080/`), /^Hostname: seen-/m);
});
