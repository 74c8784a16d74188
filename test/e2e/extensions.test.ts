// Scripts and modules of users at a gateway and at a waypoint: Lua by an EnvoyFilter, and WebAssembly by WasmPlugins. A
// load goes through both proxies from beginning to end, and none of its requests fails.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const apply = (yaml: string): string => `kubectl apply -f - <<'EOF'\n${yaml}\nEOF`;
const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

const moduleBytes = readFileSync(join(root, "test/wasm/test-module.wasm"));
const blob = { mediaType: "application/vnd.module.wasm.content.layer.v1+wasm", size: moduleBytes.length };
/** The registry's manifest for `filters/test:1.0`. The server of the modules serves it by the last part of its path. */
const imageManifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: { mediaType: "application/vnd.module.wasm.config.v1+json", digest: `sha256:${sha256("{}")}`, size: 2 },
  layers: [{ ...blob, digest: `sha256:${sha256(moduleBytes)}` }],
});
const hosted: Readonly<Record<string, Uint8Array | string>> = {
  "test-module.wasm": moduleBytes,
  "broken.wasm": Buffer.concat([moduleBytes.subarray(0, 8), Buffer.from("no module")]),
  "text.wasm": "no module",
  "1.0": imageManifest,
  [sha256(moduleBytes)]: moduleBytes,
};

/** One application has two Services, so that one of these can have a plugin of its own. */
const apps = `apiVersion: apps/v1
kind: Deployment
metadata: {name: host, namespace: modules}
spec:
  selector: {matchLabels: {app: host}}
  template:
    metadata: {labels: {app: host}}
    spec:
      containers:
      - name: host
        image: node:24
        args:
        - -e
        - |
          const { basename } = require("node:path");
          require("node:http").createServer((request, response) => {
            const name = basename(request.url).replace("sha256:", "");
            require("node:fs").readFile("/modules/" + name, (error, bytes) =>
              error ? response.writeHead(404).end() : response.end(bytes));
          }).listen(8080);
        readinessProbe: {httpGet: {path: /test-module.wasm, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: modules, mountPath: /modules}]
      volumes: [{name: modules, configMap: {name: modules}}]
---
apiVersion: v1
kind: Service
metadata: {name: host, namespace: modules}
spec: {selector: {app: host}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: k8s.gcr.io/echoserver:1.10
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
${["web", "other"]
  .map(
    (name) => `apiVersion: v1
kind: Service
metadata: {name: ${name}, labels: {istio.io/use-waypoint: waypoint, istio.io/ingress-use-waypoint: "true"}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}`,
  )
  .join("\n---\n")}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - match: [{uri: {prefix: /other}}]
    route: [{destination: {host: other}}]
  - route: [{destination: {host: web}}]`;

const script = (
  place: "gateway" | "waypoint",
  lines: readonly string[],
): string => `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: script, namespace: ${place === "gateway" ? "istio-system" : "default"}}
spec:
  ${
    place === "gateway"
      ? "workloadSelector: {labels: {istio: ingressgateway}}"
      : "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]"
  }
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: ${place === "gateway" ? "GATEWAY" : "SIDECAR_INBOUND"}
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.lua
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code:
            inline_string: |
${lines.map((line) => `              ${line}`).join("\n")}`;

const scriptOf = (place: "gateway" | "waypoint"): string =>
  script(place, [
    "function envoy_on_request(handle)",
    `  handle:headers():add("x-lua-${place}", handle:headers():get(":path"))`,
    `  if handle:headers():get(":path") == "/answered-by-${place}" then`,
    `    handle:respond({[":status"] = "418"}, "the script of the ${place}")`,
    "  end",
    '  if handle:headers():get(":path") == "/endless" then',
    "    while true do end",
    "  end",
    "end",
    "function envoy_on_response(handle)",
    `  handle:headers():add("x-lua-response", "${place}")`,
    "end",
  ]);

interface PluginWords {
  readonly name: string;
  readonly namespace?: string;
  readonly target: string;
  readonly url: string;
  readonly more: string;
}

const plugin = ({ name, namespace = "default", target, url, more }: PluginWords): string =>
  `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  ${target}
  url: ${url}
  ${more}`;

const hostUrl = "http://host.modules.svc.cluster.local:8080";

function extensions(kubectl: Kubectl): void {
  const guide = new Walkthrough("extensions", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  let url = "";
  let load: GatewayLoad | undefined;
  const get = async (path: string, header = "x-none: 1"): Promise<string> =>
    await ok(`curl -s -i -m 20 -H '${header}' ${url}${path}`);
  const status = (answer: string): string => answer.split(" ")[1] ?? "";
  const values = (answer: string, name: string): string[] =>
    [...answer.matchAll(new RegExp(`^${name}: (.*?)\\r?$`, "gim"))].map(([, value = ""]) => value);
  const answers = async (condition: string, path: string, is: (answer: string) => boolean): Promise<string> =>
    await eventually(condition, async () => {
      const answer = await get(path);
      return is(answer) && answer;
    });
  /** A step. In it, further requests of the load must succeed, and none may fail. */
  const step = (title: string, body: () => Promise<void>): void =>
    void test(
      title,
      guide.step(title, async () => {
        await body();
        await load?.more(10);
        assert.deepEqual(load?.failures, [], `of ${load?.requests ?? 0} requests`);
      }),
    );

  before(async () => {
    const created = await guide.lab.create(
      `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: ${guide.lab.name}\nnodes: [{role: control-plane}]\n`,
    );
    assert.equal(created.code, 0, created.output);
    for (const [name, content] of Object.entries(hosted)) writeFileSync(join(guide.lab.directory, name), content);
    await ok(`${guide.lab.serin} install --set profile=ambient -y`);
    await ok("kubectl label namespace default istio.io/dataplane-mode=ambient");
    const files = Object.keys(hosted).map((name) => `--from-file=${name}`);
    await ok(`kubectl create namespace modules && kubectl create configmap modules -n modules ${files.join(" ")}`);
    await ok(apply(apps));
    await ok("kubectl wait --for=condition=Programmed gateway/waypoint --timeout=60s");
    for (const namespace of ["default", "modules"])
      await ok(`kubectl wait -n ${namespace} --for=condition=Available deploy --all --timeout=60s`);
    const address = await ok(
      "kubectl get service -n istio-system istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
    );
    url = `http://${address.trim()}`;
    for (const path of ["/", "/other"])
      await eventually(`${path} answers`, async () => await guide.shows(`curl -sf -m 2 ${url}${path}`, "Hostname:"));
    load = new GatewayLoad(guide.lab, `${url}/`, {
      expected: "Hostname:",
      answerPattern: "Hostname: (\\S+)",
      pauseMs: 100,
    });
    await load.begun();
  });
  after(async () => {
    await load?.stop();
    await guide.lab.delete();
  });

  step(
    "a Lua script adds headers to requests and responses, and answers a path by itself, at a gateway and at a waypoint",
    async () => {
      await ok(apply(scriptOf("gateway")));
      await ok(apply(scriptOf("waypoint")));
      const answer = await answers(
        "both scripts run",
        "/there",
        (given) => values(given, "x-lua-response").length === 2,
      );
      assert.deepEqual(values(answer, "x-lua-response"), ["waypoint", "gateway"]);
      assert.match(answer, /x-lua-gateway=\/there/);
      assert.match(answer, /x-lua-waypoint=\/there/);
      for (const place of ["gateway", "waypoint"]) {
        const own = await get(`/answered-by-${place}`);
        assert.equal(status(own), "418");
        assert.match(own, new RegExp(`the script of the ${place}$`));
      }
    },
  );

  step(
    "a script that never ends is stopped, its request continues, and other requests are answered meanwhile",
    async () => {
      const endless = ok(`for i in 1 2 3 4; do curl -s -o /dev/null -m 9 -w '%{http_code} ' ${url}/endless; done`);
      const before = load?.requests ?? 0;
      for (let sent = 0; sent < 5; sent += 1) assert.equal(status(await get("/beside")), "200");
      assert.equal((await endless).trim(), "200 200 200 200");
      assert.ok((load?.requests ?? 0) > before, "the load went on");
      assert.match(
        await ok("kubectl logs -n istio-system deploy/istio-ingressgateway"),
        /script of the HTTP filter envoy.filters.http.lua failed/,
      );
      await ok("kubectl delete envoyfilter script && kubectl delete envoyfilter script -n istio-system");
      await answers("the scripts are gone", "/", (given) => values(given, "x-lua-response").length === 0);
    },
  );

  step(
    "a module runs with its configuration: at the gateway from a URL with a checksum, at the waypoint from a registry",
    async () => {
      const registry = (await ok("kubectl get service -n modules host -o jsonpath='{.spec.clusterIP}:8080'")).trim();
      await ok(
        apply(
          [
            plugin({
              name: "greet",
              namespace: "istio-system",
              target: "selector: {matchLabels: {istio: ingressgateway}}",
              url: `${hostUrl}/test-module.wasm`,
              more: `sha256: "${sha256(moduleBytes)}"\n  pluginConfig: {at: gateway}`,
            }),
            plugin({
              name: "greet",
              target: "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]",
              url: `oci://${registry}/filters/test:1.0`,
              more: `sha256: "${sha256(imageManifest)}"\n  pluginConfig: {at: waypoint}`,
            }),
          ].join("\n---\n"),
        ),
      );
      const answer = await answers("both modules run", "/there", (given) => values(given, "x-wasm").length === 2);
      assert.deepEqual(values(answer, "x-config"), ['{"at":"waypoint"}', '{"at":"gateway"}']);
      assert.match(answer, /x-path=\/there/, "the application sees what a module adds to the request");
      assert.match(answer, /!!$/, "each module ends the body");
    },
  );

  step("a plugin gets its changed configuration, and a deleted plugin stops working", async () => {
    const at = async (...places: readonly string[]): Promise<void> => {
      const expected = places.map((place) => `{"at":"${place}"}`);
      await answers(
        `configured as ${places.join(", ")}`,
        "/",
        (given) => values(given, "x-config").join() === expected.join(),
      );
    };
    const configure = async (namespace: string, place: string): Promise<string> =>
      await ok(
        `kubectl patch wasmplugin greet -n ${namespace} --type merge -p '{"spec":{"pluginConfig":{"at":"${place}"}}}'`,
      );
    await configure("istio-system", "the front");
    await configure("default", "the middle");
    await at("the middle", "the front");
    // The configuration came by extension discovery (ECDS), and is not a part of a listener.
    const shown = async (kind: string): Promise<string> =>
      await ok(`${guide.lab.serin} proxy-config ${kind} deploy/waypoint.default`);
    assert.match(await shown("ecds"), /^extensions\.istio\.io\/\S*default\.greet\S* +\S*Wasm$/m);
    assert.match(await shown("ecds -o json"), /the middle/);
    assert.doesNotMatch(await shown("listener -o json"), /the middle/);
    await ok("kubectl delete wasmplugin greet -n istio-system");
    await at("the middle");
    await ok("kubectl delete wasmplugin greet");
    await at();
    assert.deepEqual(values(await get("/"), "x-wasm"), []);
  });

  step(
    "a module that cannot run stops the requests of its Service with FAIL_CLOSE, and none with FAIL_OPEN",
    async () => {
      const own = (file: string, more: string): string =>
        apply(
          plugin({
            name: "broken",
            target: "targetRefs: [{kind: Service, name: other}]",
            url: `${hostUrl}/${file}`,
            more,
          }),
        );
      const other = async (expected: string): Promise<string> =>
        await answers(`/other answers ${expected}`, "/other", (given) => status(given) === expected);
      await ok(own("broken.wasm", "failStrategy: FAIL_CLOSE"));
      await other("503");
      assert.match(await ok("kubectl logs deploy/waypoint"), /default\.broken/);
      await ok(own("broken.wasm", "failStrategy: FAIL_OPEN"));
      await other("200");
      // As in Istio, all requests are denied if the module cannot be fetched.
      await ok(own("text.wasm", "failStrategy: FAIL_CLOSE"));
      await other("403");
      await ok(own("test-module.wasm", `failStrategy: FAIL_CLOSE\n  sha256: "${"0".repeat(64)}"`));
      await other("403");
      await ok(own("test-module.wasm", `failStrategy: FAIL_OPEN\n  sha256: "${sha256(moduleBytes)}"`));
      await answers("/other has its module", "/other", (given) => values(given, "x-wasm").length === 1);
    },
  );

  step("a module that never ends is stopped, and its request continues with FAIL_OPEN", async () => {
    const endless = get("/other", "x-do: loop");
    assert.equal(status(await get("/")), "200");
    const answer = await endless;
    assert.deepEqual([status(answer), values(answer, "x-wasm")], ["200", []]);
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`scripts and modules, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    extensions(kubectl),
  );
