// A stock Envoy in place of Serin's proxy, as gateway, sidecar and waypoint. It accepts the pilot's whole configuration
// and serves by it.
import assert from "node:assert/strict";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { clientAddress, interceptedServer } from "../support/intercepted-server.ts";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const envoy = join(root, ".cache/interop/envoy");
const here = join(import.meta.dirname, "envoy");
const samples = join(root, "samples");

/** With 1,000 answers at 10 %, chance gives fewer than 69 or more than 133 once in a thousand runs. */
const counted = 1000;
const canaryBounds = { least: 69, most: 133 };

const answerMs = 30_000;

interface ConnectedProxy {
  readonly id: string;
  readonly types: Readonly<
    Record<string, { readonly acked: string; readonly sent: string; readonly reason: string | null }>
  >;
}

const [kubectl] = kubectls().slice(-1);

describe("a stock Envoy 1.40", () => {
  assert.ok(kubectl);
  const { lab, step, ok, shows } = bound(new Walkthrough("interop-envoy", kubectl));
  let gateway = "";

  before(async () => {
    assert.ok(existsSync(envoy), "there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there");
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
    copyFileSync(join(here, "images.yaml"), join(lab.stateDirectory, "images.yaml"));
  });
  after(async () => await lab.delete());

  /** By proxy and type, configuration that was rejected, or not acknowledged in time. */
  async function rejections(): Promise<Record<string, string>> {
    const address = await ok("kubectl -n istio-system get pod -l app=istiod -o jsonpath='{.items[0].status.podIP}'");
    const deadline = Date.now() + answerMs;
    for (;;) {
      const proxies = JSON.parse(
        await ok(
          `curl -s -H "authorization: Bearer $(kubectl -n istio-system create token default --audience istio-ca)" http://${address}:8080/debug/serin/proxies`,
        ),
      ) as ConnectedProxy[];
      const types = proxies.flatMap(({ id, types }) =>
        Object.entries(types).map(([type, state]) => ({ place: `${id} ${type}`, ...state })),
      );
      const refused = types.filter(({ reason }) => reason !== null).map(({ place, reason }) => [place, String(reason)]);
      const open = types
        .filter(({ sent, acked, reason }) => reason === null && sent !== acked)
        .map(({ place, sent, acked }) => [place, `sent ${sent}, acknowledged ${acked}`]);
      if (open.length === 0 || Date.now() > deadline)
        return Object.fromEntries([...refused, ...open]) as Record<string, string>;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  const status = async (words: string): Promise<string> =>
    (await ok(`curl -s -o /dev/null -m 10 -w '%{http_code}' ${words}`)).trim();

  step("serves bookinfo as ingress gateway and as every sidecar", async () => {
    await ok("serin install --set profile=demo -y");
    await ok(`kubectl label namespace default istio-injection=enabled`);
    await ok(
      `kubectl apply -f ${samples}/bookinfo/platform/kube/bookinfo.yaml -f ${samples}/bookinfo/networking/bookinfo-gateway.yaml -f ${samples}/bookinfo/networking/destination-rule-all-mtls.yaml -f ${samples}/curl/curl.yaml -f ${samples}/helloworld/helloworld.yaml`,
    );
    await ok("kubectl wait pod --all --for=condition=ready --timeout=200s");
    gateway = await ok(
      "kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
    );
    for (let sent = 0; sent < 20; sent += 1) assert.equal(await status(`http://${gateway}/productpage`), "200");
    assert.match(
      await ok("kubectl exec deploy/reviews-v1 -c istio-proxy -- curl -s localhost:15000/server_info"),
      /1\.40\.\d+\/Clean\/RELEASE\/BoringSSL/,
    );
    assert.deepEqual(await rejections(), {});
  });

  step("proves its identity: strict peers accept its requests, and refuse those without a certificate", async () => {
    await ok(
      `kubectl apply -f - <<< '{"apiVersion":"security.istio.io/v1","kind":"PeerAuthentication","metadata":{"name":"default","namespace":"istio-system"},"spec":{"mtls":{"mode":"STRICT"}}}'`,
    );
    const pod = await ok("kubectl get pod -l app=reviews -o jsonpath='{.items[0].status.podIP}'");
    await eventually(
      "plain text is refused",
      async () => (await lab.shell(`curl -s -m 5 http://${pod}:9080/reviews/0`)).code !== 0,
    );
    assert.equal(await status(`http://${gateway}/productpage`), "200");
    const headers = await ok(
      "kubectl exec deploy/curl -c curl -- curl -s http://helloworld:5000/hello -o /dev/null -w '%{http_code}'",
    );
    assert.equal(headers, "200");
  });

  step("keeps a VirtualService's weights, as gateway and as sidecar", async () => {
    await ok(`kubectl apply -f ${here}/weights.yaml`);
    const count = (output: string): number => output.match(/version: v2/g)?.length ?? 0;
    const within = (title: string, canary: number): void =>
      assert.ok(canary >= canaryBounds.least && canary <= canaryBounds.most, `${title}: ${canary} of ${counted}`);
    await eventually(
      "the route is there",
      async () => await shows(`curl -s -H 'host: hello.example.com' http://${gateway}/hello`, "Hello version"),
    );
    within("gateway", count(await ok(`curl -s -H 'host: hello.example.com' 'http://${gateway}/hello?[1-${counted}]'`)));
    within(
      "sidecar",
      count(await ok(`kubectl exec deploy/curl -c curl -- curl -s 'http://helloworld:5000/hello?[1-${counted}]'`)),
    );
  });

  step("speaks mutual TLS with Serin's proxy, both ways", async () => {
    await ok(
      `kubectl patch deployment reviews-v2 -p '{"spec":{"template":{"metadata":{"annotations":{"sidecar.istio.io/proxyImage":"docker.io/serin/proxyv2:1"}}}}}'`,
    );
    await ok("kubectl rollout status deployment/reviews-v2 --timeout=200s");
    assert.match(
      await ok("kubectl exec deploy/reviews-v2 -c istio-proxy -- curl -s localhost:15000/server_info"),
      /serin/i,
    );
    const page = await ok(`curl -s 'http://${gateway}/productpage?[1-30]'`);
    // The stars come from ratings, which reviews-v2 calls through Serin's proxy.
    assert.match(page, /reviews-v2/);
    assert.doesNotMatch(page, /currently unavailable/);
  });

  step("in mode TPROXY, shows its application the address of a client with a sidecar", async () => {
    await ok(`kubectl apply -f - <<'EOF'\n${interceptedServer("default", "seen", "TPROXY")}\nEOF`);
    await ok("kubectl rollout status deployment/seen --timeout=200s");
    assert.deepEqual(await rejections(), {});
    const client = await ok("kubectl get pod -l app=curl -o jsonpath='{.items[0].status.podIP}'");
    const answer = await ok("kubectl exec deploy/curl -c curl -- curl -sS -m 5 http://seen/");
    assert.equal(clientAddress(answer), client.trim(), answer);
    assert.match(await ok("kubectl exec deploy/seen -c curl -- curl -sS -m 5 http://helloworld:5000/hello"), /Hello/);
  });

  step("accepts something of each kind that shapes proxies", async () => {
    await ok(`kubectl apply -f ${here}/features.yaml`);
    assert.deepEqual(await rejections(), {});
    assert.equal(await status(`http://${gateway}/productpage`), "200");
  });

  step("serves HTTPS with certificates that it asks the pilot for, classic and of Gateway API", async () => {
    await ok(
      `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 30 -subj /CN=a.example.com -addext subjectAltName=DNS:a.example.com,DNS:m.example.com 2>&1`,
    );
    for (const namespace of ["istio-system", "default"])
      await ok(
        `kubectl -n ${namespace} create secret generic cert --from-file=tls.key=key.pem --from-file=tls.crt=certificate.pem --from-file=ca.crt=certificate.pem`,
      );
    await ok(`kubectl apply -f ${here}/gateways.yaml`);
    const https = (address: string, host: string, more = ""): Promise<string> =>
      status(`--cacert certificate.pem ${more} --resolve ${host}:443:${address} https://${host}/productpage || true`);
    await eventually("HTTPS is served", async () => (await https(gateway, "a.example.com")) === "200");
    assert.equal(await https(gateway, "m.example.com", "--cert certificate.pem --key key.pem"), "200");
    assert.equal(await https(gateway, "m.example.com"), "000", "without a client's certificate");
    assert.equal(await status(`-H 'host: redirect.example.com' http://${gateway}/`), "301");
    assert.equal(await status(`http://${gateway}:31400/productpage`), "200", "as bytes");
    await ok("kubectl wait pod -l gateway.networking.k8s.io/gateway-name=gwapi --for=condition=ready --timeout=200s");
    const deployed = await ok("kubectl get gateway gwapi -o jsonpath='{.status.addresses[0].value}'");
    await eventually("the Gateway serves HTTPS", async () => (await https(deployed, "a.example.com")) === "200");
    assert.equal(await status(`-H 'x: yes' http://${deployed}/productpage`), "200");
    assert.match(await ok(`curl -si http://${deployed}/x/z`), /301[^]*location: https:\/\/[^/]+\/y\/z/);
    assert.deepEqual(await rejections(), {});
  });

  step("is a waypoint between ztunnels", async () => {
    await ok("serin install --set profile=ambient -y");
    await ok(
      "kubectl create namespace amb; kubectl label namespace amb istio.io/dataplane-mode=ambient istio.io/use-waypoint=waypoint",
    );
    await ok(
      `kubectl apply -n amb -f ${samples}/helloworld/helloworld.yaml -f ${samples}/curl/curl.yaml -f ${here}/waypoint.yaml`,
    );
    await ok("kubectl -n amb wait pod --all --for=condition=ready --timeout=200s");
    await eventually(
      "the waypoint answers",
      async () =>
        await shows(
          "kubectl -n amb exec deploy/curl -- curl -si -m 5 http://helloworld:5000/hello",
          /x-waypoint: yes[^]*Hello version/,
        ),
    );
    assert.match(
      await ok("kubectl -n amb exec deploy/curl -- curl -si -m 5 -X DELETE http://helloworld:5000/hello"),
      /403 Forbidden/,
    );
    assert.deepEqual(await rejections(), {});
  });
});

function bound(walkthrough: Walkthrough) {
  return {
    lab: walkthrough.lab,
    step: (title: string, body: () => Promise<void>): void => void test(title, walkthrough.step(title, body)),
    ok: walkthrough.ok.bind(walkthrough),
    shows: walkthrough.shows.bind(walkthrough),
  };
}
