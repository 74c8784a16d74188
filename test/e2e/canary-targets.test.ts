// Runs Canaries with every kind of target side by side in one lab, each under requests of which none may fail.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { PodLoad } from "../support/pod-load.ts";
import { untilLine } from "../support/until-line.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const samples = join(root, "samples/canary");
const fileFlags = (...names: readonly string[]): string =>
  names.map((name) => `-f ${join(samples, name)}.yaml`).join(" ");
const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const guide = new Walkthrough("canary-targets", kubectl);
const ok = async (line: string): Promise<string> => await guide.ok(line);
/**
 * Applies the sample's Canary with smaller samples (6 instead of 30, and 30 instead of 60 for a share), because this
 * test does not look at the judgement.
 */
const applyCanary = async (namespace: string, name: string): Promise<string> =>
  await ok(
    `sed 's/rate, minSamples: 30/rate, minSamples: 6/; s/share, minSamples: 60/share, minSamples: 30/' ${join(samples, name)}.yaml | kubectl apply -n ${namespace} -f -`,
  );
const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
const patientMs = 400_000;

const urls = {
  web: "http://web.shop/",
  parts: "http://nginx.parts/",
  duo: "http://nginx.duo/",
  front: "http://nginx.front/",
} as const;
/**
 * Each target has a load of its own, so that none waits for another's answers. Testers are the clients whose requests
 * the first steps send to the new version.
 */
const loaded: readonly (readonly string[])[] = [
  [urls.web],
  [urls.parts, `-H x-tester:team-a ${urls.parts}`],
  [urls.duo],
  [urls.front, `-H traffic:test ${urls.front}`],
];
const loads: PodLoad[] = [];
const failures = (): readonly string[] => loads.flatMap((load) => load.failures);

before(async () => {
  const created = await guide.lab.createOneNode();
  assert.equal(created.code, 0, created.output);
  await ok("istioctl install -y --set profile=minimal");
  await ok(
    "for name in client shop parts duo front front-next; do kubectl create namespace $name; kubectl label namespace $name istio-injection=enabled; done",
  );
  await Promise.all([
    ok(`kubectl apply -n client -f ${join(root, "samples/curl/curl.yaml")}`),
    ok(`kubectl apply -n shop ${fileFlags("web")}`),
    ok(`kubectl apply -n parts ${fileFlags("nginx-service", "nginx-v1", "nginx-v2", "nginx-destination-rule")}`),
    ok(`kubectl apply -n duo ${fileFlags("nginx-service", "nginx-v1", "nginx-v2")}`),
    ok(`kubectl apply -n front ${fileFlags("nginx-service", "nginx-v1")}`),
    ok(`kubectl apply -n front-next ${fileFlags("nginx-service", "nginx-v2")}`),
  ]);
  await ok(
    "for name in client shop parts duo front front-next; do kubectl wait -n $name --for=condition=Available deployment --all --timeout=110s; done",
  );
});

after(async () => {
  await Promise.all(loads.map(async (load) => await load.stop()));
  await guide.lab.delete();
});

/** Waits until the line `phase: message` of the Canary matches. */
async function untilStatusLine(
  namespace: string,
  name: string,
  condition: string,
  accepts: (line: string) => boolean,
): Promise<void> {
  const command = ["kubectl", "get", "canary", "-n", namespace, name, "-o"];
  const line = 'jsonpath={.status.phase}: {.status.message}{"\\n"}';
  await untilLine(guide.lab, { condition, command: [...command, line], timeoutMs: patientMs }, accepts).catch(
    async (error: unknown) => {
      throw new Error(`${String(error)}\n${await ok(`kubectl get canary -n ${namespace} ${name} -o yaml`)}`);
    },
  );
}

async function reaches(namespace: string, name: string, phase: string): Promise<void> {
  await untilStatusLine(namespace, name, `canary ${namespace}/${name} is ${phase}`, (line) => {
    assert.ok(
      !line.startsWith("Stuck") && (phase === "RolledBack" || !line.startsWith("RolledBack")),
      `${namespace}/${name}: ${line}`,
    );
    return line.startsWith(`${phase}:`);
  });
}

async function versions(url: string, count: number, options = ""): Promise<Record<string, number>> {
  const output = await ok(
    `kubectl exec -n client deploy/curl -c curl -- curl -s -m 4 ${options} "${url}?[1-${count}]"`,
  );
  const found: Record<string, number> = {};
  for (const [, version = ""] of output.matchAll(/server (v\d)/g)) found[version] = (found[version] ?? 0) + 1;
  return found;
}

step(
  "a Deployment is held, and routes distinguish it before it has a canary pod; in an ambient namespace it needs a waypoint",
  async () => {
    await applyCanary("shop", "deployment-canary");
    await reaches("shop", "web", "Watching");
    assert.equal(await ok("kubectl get deployment -n shop web -o jsonpath={.spec.paused}"), "true");
    await ok("kubectl create namespace bare && kubectl label namespace bare istio.io/dataplane-mode=ambient");
    await ok(`kubectl apply -n bare ${fileFlags("web", "deployment-canary")}`);
    await untilStatusLine("bare", "web", "the missing waypoint is said", (line) =>
      /Stuck: .*Service bare\/web is in ambient and has no waypoint/.test(line),
    );
    await ok("kubectl delete namespace bare --wait=false");
  },
);

step("all targets move from the old version to the new one, and no request fails", async () => {
  for (const some of loaded)
    loads.push(
      new PodLoad(guide.lab, {
        namespace: "client",
        workload: "deploy/curl",
        container: "curl",
        urls: some,
      }),
    );
  await Promise.all(loads.map(async (load) => await load.begun()));
  await ok("kubectl set image -n shop deployment/web web=quay.io/shardul/nginx:v2");
  await Promise.all([
    applyCanary("parts", "virtual-service-canary"),
    applyCanary("duo", "services-canary"),
    applyCanary("front", "namespaces-canary"),
  ]);
  await untilStatusLine("duo", "nginx", "two Services wait for an approval", (line) => /waits for approval/.test(line));
  const cookie = (
    await ok(`kubectl exec -n client deploy/curl -c curl -- curl -s -o /dev/null -D - "${urls.duo}?[1-60]"`)
  ).match(/set-cookie: (nginx-canary=[0-9a-f]+)/i)?.[1];
  assert.ok(cookie, "the canary sets a cookie");
  assert.deepEqual(
    await versions(urls.duo, 15, `-H "cookie: a=1; ${cookie}"`),
    { v2: 15 },
    "who has it goes there again",
  );
  await ok("serin canary promote -n duo nginx -m tested");
  for (const [namespace, name] of [
    ["parts", "nginx"],
    ["duo", "nginx"],
    ["front", "nginx"],
    ["shop", "web"],
  ] as const)
    await reaches(namespace, name, "Completed");
  for (const url of Object.values(urls)) assert.deepEqual(await versions(url, 8), { v2: 8 }, url);
  assert.deepEqual(failures(), []);
});

step("the temporary objects of the runs are gone, and the new state stays", async () => {
  assert.equal((await ok("kubectl get deployments -n shop -o name")).trim(), "deployment.apps/web");
  assert.match(
    await ok("kubectl get virtualservice -n parts nginx -o jsonpath='{.spec.http}'"),
    /"exact":"\/health".*"timeout":"3s"/,
  );
  assert.match(
    await ok("kubectl get referencegrant -n front-next -o jsonpath='{.items[*].spec.from}'"),
    /"kind":"HTTPRoute","namespace":"front"/,
  );
});

step("undo after the end restores the previous version by a canary copy, and no request fails", async () => {
  await Promise.all([
    ok("serin canary undo -n shop web"),
    ok("serin canary undo -n parts nginx"),
    ok("serin canary undo -n duo nginx"),
    ok("serin canary undo -n front nginx"),
  ]);
  for (const [namespace, name] of [
    ["shop", "web"],
    ["parts", "nginx"],
    ["duo", "nginx"],
    ["front", "nginx"],
  ] as const)
    await reaches(namespace, name, "RolledBack");
  for (const url of [urls.web, urls.parts, urls.front]) assert.deepEqual(await versions(url, 8), { v1: 8 }, url);
  assert.equal((await ok("kubectl get httproute -n duo -o name")).trim(), "", "the route that was made is removed");
  assert.equal((await ok("kubectl get referencegrant -n front-next -o name")).trim(), "");
  assert.equal(
    await ok(
      "kubectl get deployment -n shop web -o jsonpath='{.spec.template.spec.containers[0].image} {.spec.paused}'",
    ),
    "quay.io/shardul/nginx:v1 true",
  );
  assert.deepEqual(failures(), []);
});

step("a Deployment is released when its Canary is deleted", async () => {
  await ok("kubectl delete canary -n shop web --timeout=110s");
  assert.equal(await ok("kubectl get deployment -n shop web -o jsonpath={.spec.paused}"), "");
  assert.equal((await ok("kubectl get virtualservices,destinationrules -n shop -o name")).trim(), "");
  await Promise.all(loads.map(async (load) => await load.more(20)));
  const requests = loads.reduce((sum, load) => sum + load.requests, 0);
  assert.ok(requests > 50, `${requests} requests`);
  assert.deepEqual(failures(), []);
});
