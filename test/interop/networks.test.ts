// Two clusters that know each other by remote secrets, each with a network and a control plane of its own. Pods of one
// cluster answer requests from the other. Requests in ambient pass through double HBONE, and those with sidecars
// through gateways that route by server name. A service goes on if one cluster has no pod of it.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { LabLink } from "../support/lab-link.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const samples = join(root, "samples");
const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const shellKubectl = kubectl;
/** The port of the gateways between networks that leads to API servers. */
const apiPort = 8443;
const url = "http://httpbin:8000/hostname";
const apply = (...objects: readonly object[]): string =>
  `kubectl apply -f - <<'EOF'\n${JSON.stringify({ apiVersion: "v1", kind: "List", items: objects })}\nEOF`;

/**
 * How a request was answered: by which pod, and through which waypoint, which marks the response with a header. `pod`
 * and `waypoint` are empty if there was none.
 */
interface Answer {
  readonly code: string;
  readonly waypoint: string;
  readonly pod: string;
}

/** A cluster with its network, which has the same name. */
class Side {
  readonly name: string;
  /** The first three numbers of addresses. No other lab uses these. */
  readonly #range: string;
  readonly guide: Walkthrough;

  constructor(name: string, range: string) {
    this.name = name;
    this.#range = range;
    this.guide = new Walkthrough(`network-${name}`, shellKubectl);
  }

  get ambientGateway(): string {
    return `${this.#range}.1`;
  }

  get sidecarGateway(): string {
    return `${this.#range}.2`;
  }

  /** Under this name, the gateway passes TLS on to its cluster's API server. */
  get apiHost(): string {
    return `api.${this.name}.example`;
  }

  get apiServer(): string {
    return `${this.#range}.3`;
  }

  async ok(line: string): Promise<string> {
    return await this.guide.ok(line);
  }

  async create(): Promise<void> {
    const { code, output } = await this.guide.lab.create();
    assert.equal(code, 0, output);
    const pool = {
      apiVersion: "metallb.io/v1beta1",
      kind: "IPAddressPool",
      metadata: { name: "pool", namespace: "metallb-system" },
      spec: { addresses: [`${this.ambientGateway}-${this.sidecarGateway}`] },
    };
    const advertised = {
      apiVersion: "metallb.io/v1beta1",
      kind: "L2Advertisement",
      metadata: { name: "pool", namespace: "metallb-system" },
    };
    await this.ok(
      `kubectl create namespace istio-system && kubectl label namespace istio-system topology.istio.io/network=${this.name}; kubectl get namespace metallb-system || kubectl create namespace metallb-system`,
    );
    await this.ok(apply(pool, advertised));
  }

  async install(): Promise<void> {
    const { name } = this;
    const spec = {
      profile: "ambient",
      meshConfig: {
        serviceScopeConfigs: [{ servicesSelector: { matchLabels: { "istio.io/global": "true" } }, scope: "GLOBAL" }],
      },
      components: {
        ingressGateways: [
          { name: "istio-ingressgateway", enabled: false },
          {
            name: "istio-eastwestgateway",
            enabled: true,
            label: { app: "istio-eastwestgateway", istio: "eastwestgateway", "topology.istio.io/network": name },
            k8s: {
              env: [{ name: "ISTIO_META_REQUESTED_NETWORK_VIEW", value: name }],
              service: {
                loadBalancerIP: this.sidecarGateway,
                ports: [
                  { name: "status-port", port: 15_021, targetPort: 15_021 },
                  { name: "tls", port: 15_443, targetPort: 15_443 },
                ],
              },
            },
          },
        ],
      },
      values: {
        global: { meshID: "both", network: name, multiCluster: { clusterName: name } },
        pilot: { env: { AMBIENT_ENABLE_MULTI_NETWORK: "true" } },
      },
    };
    writeFileSync(
      join(this.guide.lab.directory, "mesh.yaml"),
      JSON.stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec }),
    );
    await this.ok("serin install -f mesh.yaml -y");
    const crossNetwork = {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: { name: "cross-network", namespace: "istio-system" },
      spec: {
        selector: { istio: "eastwestgateway" },
        servers: [
          {
            port: { number: 15_443, name: "tls", protocol: "TLS" },
            tls: { mode: "AUTO_PASSTHROUGH" },
            hosts: ["*.local"],
          },
        ],
      },
    };
    const eastWest = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "eastwest", namespace: "istio-system", labels: { "topology.istio.io/network": name } },
      spec: {
        gatewayClassName: "istio-east-west",
        listeners: [
          {
            name: "mesh",
            port: 15_008,
            protocol: "HBONE",
            tls: { mode: "Terminate", options: { "gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL" } },
          },
          {
            name: "api",
            port: apiPort,
            protocol: "TLS",
            tls: { mode: "Passthrough" },
            allowedRoutes: { namespaces: { from: "All" } },
          },
        ],
      },
    };
    const apiServer = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "TLSRoute",
      metadata: { name: "api", namespace: "default" },
      spec: {
        parentRefs: [{ name: "eastwest", namespace: "istio-system" }],
        hostnames: [this.apiHost],
        rules: [{ backendRefs: [{ name: "kubernetes", port: 443 }] }],
      },
    };
    await this.ok(apply(crossNetwork, eastWest, apiServer));
    await this.ok(
      "kubectl -n istio-system wait gateway.gateway.networking.k8s.io/eastwest --for=condition=Programmed --timeout=200s",
    );
    for (const [service, address] of [
      ["eastwest", this.ambientGateway],
      ["istio-eastwestgateway", this.sidecarGateway],
    ] as const) {
      assert.equal(
        await this.ok(
          `kubectl -n istio-system get service ${service} -o jsonpath='{.status.loadBalancer.ingress[0].ip}'`,
        ),
        address,
      );
    }
  }

  /** Creates the same applications in both clusters: in `shop` with ztunnel, and in `cart` with sidecars. */
  async applications(): Promise<void> {
    await this.ok(
      "kubectl create namespace shop; kubectl label namespace shop istio.io/dataplane-mode=ambient; kubectl create namespace cart; kubectl label namespace cart istio-injection=enabled",
    );
    for (const namespace of ["shop", "cart"])
      await this.ok(
        `kubectl -n ${namespace} apply -f ${samples}/httpbin/httpbin.yaml -f ${samples}/curl/curl.yaml; kubectl -n ${namespace} label service httpbin istio.io/global=true`,
      );
    for (const namespace of ["shop", "cart"])
      await this.ok(`kubectl -n ${namespace} rollout status deploy/httpbin deploy/curl --timeout=200s`);
  }

  /** Sends so many requests, each over a new connection. Returns the names of the pods that have answered. */
  async answering(namespace: string, requests = 20): Promise<ReadonlySet<string>> {
    const output = await this.ok(
      `kubectl -n ${namespace} exec deploy/curl -- sh -c 'for i in $(seq ${requests}); do curl -sS -m 10 ${url}; done'`,
    );
    const names = [...output.matchAll(/"hostname": "([^"]+)"/g)].map(([, name = ""]) => name);
    assert.equal(names.length, requests, output);
    return new Set(names);
  }

  async answers(method: string, requests = 10): Promise<readonly Answer[]> {
    const output = await this.ok(
      `kubectl -n shop exec deploy/curl -- sh -c 'for i in $(seq ${requests}); do curl -sS -m 10 -X ${method} -w "\\nanswer %{http_code} %header{x-waypoint}\\n" ${url}; done'`,
    );
    const answers = output.split(/^answer /m);
    return answers.slice(1).map((answer, index) => {
      const [code = "", waypoint = ""] = answer.split("\n", 1)[0]?.split(" ") ?? [];
      return { code, waypoint, pod: /"hostname": "([^"]+)"/.exec(answers[index] ?? "")?.[1] ?? "" };
    });
  }

  /** Gives the ambient service a waypoint. It marks responses with a header, and denies DELETE to the client. */
  async guard(): Promise<void> {
    const waypoint = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "waypoint", namespace: "shop" },
      spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
    };
    const mark = {
      type: "ResponseHeaderModifier",
      responseHeaderModifier: { set: [{ name: "x-waypoint", value: this.name }] },
    };
    const route = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "httpbin", namespace: "shop" },
      spec: {
        parentRefs: [{ group: "", kind: "Service", name: "httpbin" }],
        rules: [{ filters: [mark], backendRefs: [{ name: "httpbin", port: 8000 }] }],
      },
    };
    const policy = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "httpbin", namespace: "shop" },
      spec: {
        targetRefs: [{ group: "", kind: "Service", name: "httpbin" }],
        action: "DENY",
        rules: [
          {
            from: [{ source: { principals: ["cluster.local/ns/shop/sa/curl"] } }],
            to: [{ operation: { methods: ["DELETE"] } }],
          },
        ],
      },
    };
    await this.ok(apply(waypoint, route, policy));
    await this.ok(
      "kubectl -n shop wait gateway.gateway.networking.k8s.io/waypoint --for=condition=Programmed --timeout=200s && kubectl -n shop label service httpbin istio.io/use-waypoint=waypoint",
    );
  }

  async server(namespace: string): Promise<string> {
    return await this.ok(`kubectl -n ${namespace} get pod -l app=httpbin -o jsonpath='{.items[0].metadata.name}'`);
  }

  async scale(namespace: string, replicas: number): Promise<void> {
    await this.ok(
      `kubectl -n ${namespace} scale deploy/httpbin --replicas=${replicas} && kubectl -n ${namespace} rollout status deploy/httpbin --timeout=200s`,
    );
    await eventually(
      `${this.name} has ${replicas} of ${namespace}`,
      async () =>
        (await this.ok(`kubectl -n ${namespace} get pod -l app=httpbin -o name`))
          .split("\n")
          .filter((line) => line !== "").length === replicas,
    );
  }
}

const west = new Side("west", "172.18.251");
const east = new Side("east", "172.18.252");
const sides = [west, east];
const links: LabLink[] = [];

async function know(near: Side, far: Side): Promise<void> {
  for (const link of [
    { address: far.ambientGateway, port: 15_008 },
    { address: far.ambientGateway, port: apiPort },
    { address: far.sidecarGateway, port: 15_443 },
    { address: far.apiServer, port: 6443, target: "172.18.0.2:6443" },
  ])
    links.push(await LabLink.open(near.guide.lab, far.guide.lab, link));
  const secret = await far.ok(`serin create-remote-secret --name ${far.name} --server https://${far.apiServer}:6443`);
  // The certificate of the API server does not have the link's address, so name a host that it has.
  await near.ok(
    `kubectl apply -f - <<'EOF'\n${secret.replace(/^( +)server: .*$/m, "$&\n$1tls-server-name: kubernetes")}\nEOF`,
  );
}

describe("two networks", () => {
  const step = (title: string, body: () => Promise<void>): void => void test(title, west.guide.step(title, body));
  /** In the order of `sides`. */
  const servers = async (namespace: string): Promise<readonly string[]> =>
    await Promise.all(sides.map(async (side) => await side.server(namespace)));
  const answeredByBoth = async (namespace: string): Promise<void> => {
    const both = (await servers(namespace)).toSorted();
    for (const side of sides)
      await eventually(
        `${side.name} is answered by both`,
        async () => [...(await side.answering(namespace))].toSorted().join() === both.join(),
      );
  };
  /** Sends requests from the west while `body` runs, of which none may fail. */
  const underLoad = async (namespace: string, body: () => Promise<void>): Promise<void> => {
    const client = `kubectl -n ${namespace} exec deploy/curl --`;
    await west.ok(`${client} rm -f /tmp/stop`);
    const load = west.guide.lab.shell(
      `${client} sh -c 'while [ ! -f /tmp/stop ]; do curl -sS -m 10 -o /dev/null -w "%{http_code}\\n" ${url} 2>&1; sleep 0.05; done'`,
      { timeoutMs: 240_000 },
    );
    try {
      await body();
    } finally {
      await west.ok(`${client} touch /tmp/stop`);
    }
    const codes = (await load).output.trim().split("\n");
    assert.ok(codes.length > 20, `only ${codes.length} requests`);
    assert.deepEqual(
      codes.filter((code) => code !== "200"),
      [],
    );
  };

  before(async () => {
    await Promise.all(sides.map(async (side) => await side.create()));
    await west.install();
    // Both control planes must sign with the same root.
    const { metadata: _metadata, ...authority } = JSON.parse(
      await west.ok("kubectl -n istio-system get secret istio-ca-secret -o json"),
    ) as { metadata: object };
    await east.ok(apply({ ...authority, metadata: { name: "istio-ca-secret", namespace: "istio-system" } }));
    await east.install();
    await Promise.all(sides.map(async (side) => await side.applications()));
    await know(west, east);
    await know(east, west);
  });
  after(async () => {
    for (const link of links) link.close();
    await Promise.all(sides.map(async ({ guide }) => await guide.lab.delete()));
  });

  step("each control plane reads both clusters", async () => {
    for (const side of sides)
      await eventually(
        `${side.name} has read both`,
        async () => [...(await side.ok("serin remote-clusters")).matchAll(/^(east|west) .* synced /gm)].length === 2,
      );
  });

  step(
    "ambient: one cluster's requests are answered by both, through tunnels within tunnels, and the server knows the client's identity",
    async () => {
      await answeredByBoth("shop");
      // The inner tunnel ends at the ztunnel of the far pod, which reads the client's identity from its certificate.
      const node = await east.ok(`kubectl -n shop get pod -l app=httpbin -o jsonpath='{.items[0].spec.nodeName}'`);
      const logs = await east.ok(
        `kubectl -n istio-system logs --tail=200 $(kubectl -n istio-system get pod -l app=ztunnel --field-selector spec.nodeName=${node} -o name)`,
      );
      const [gateway] = (
        await east.ok(
          "kubectl -n istio-system get pod -l gateway.networking.k8s.io/gateway-name=eastwest -o jsonpath='{.items[*].status.podIP}'",
        )
      ).split(" ");
      assert.match(
        logs,
        new RegExp(
          `src\\.addr=${gateway?.replaceAll(".", "\\.") ?? ""}:\\d+ .*src\\.identity="spiffe://cluster\\.local/ns/shop/sa/curl".*direction="inbound"`,
        ),
      );
    },
  );

  step("ambient: the gateway passes TLS to its cluster's API server, by the server name alone", async () => {
    for (const [near, far] of [
      [west, east],
      [east, west],
    ] as const) {
      const ask = async (host: string): Promise<string> => {
        const { output } = await near.guide.lab.shell(
          `kubectl -n shop exec deploy/curl -- curl -sS -k -m 10 --resolve ${host}:${apiPort}:${far.ambientGateway} https://${host}:${apiPort}/version`,
        );
        return output;
      };
      await eventually(`${far.name} answers`, async () => (await ask(far.apiHost)).includes('"gitVersion"'));
      assert.doesNotMatch(await ask("other.example"), /gitVersion/);
    }
  });

  step(
    "sidecars: one cluster's requests are answered by both, through the gateways' mutual TLS, and the server knows the client's identity",
    async () => {
      await answeredByBoth("cart");
      const far = await east.server("cart");
      await eventually("the far one is asked", async () => (await west.answering("cart", 1)).has(far));
      const output = await west.ok(
        `kubectl -n cart exec deploy/curl -- sh -c 'for i in $(seq 20); do curl -sS -m 10 http://httpbin:8000/headers; done'`,
      );
      const clients = [...output.matchAll(/;URI=([^";,]+)/g)].map(([, client]) => client);
      assert.equal(clients.length, 20, output);
      assert.deepEqual([...new Set(clients)], ["spiffe://cluster.local/ns/cart/sa/curl"]);
    },
  );

  for (const namespace of ["shop", "cart"]) {
    step(
      `${namespace === "shop" ? "ambient" : "sidecars"}: the service continues without a failed request while one cluster has no pods of it`,
      async () => {
        const [near, far] = await servers(namespace);
        await underLoad(namespace, async () => {
          await west.scale(namespace, 0);
          assert.deepEqual([...(await west.answering(namespace))], [far]);
          await west.scale(namespace, 1);
          await answeredByBoth(namespace);
          await east.scale(namespace, 0);
          const back = await west.server(namespace);
          assert.notEqual(back, near);
          assert.deepEqual([...(await west.answering(namespace))], [back]);
          assert.deepEqual([...(await east.answering(namespace))], [back]);
          await east.scale(namespace, 1);
          await answeredByBoth(namespace);
        });
      },
    );
  }

  /** The different answers, as `code waypoint pod`. */
  const answersOf = async (side: Side, method: string): Promise<string> =>
    [...new Set((await side.answers(method)).map(({ code, waypoint, pod }) => `${code} ${waypoint} ${pod}`.trim()))]
      .toSorted()
      .join(", ");
  const becomes = async (title: string, look: () => Promise<string>, wanted: string): Promise<void> => {
    let found = "";
    await eventually(title, async () => (found = await look()) === wanted).catch((error: unknown) =>
      assert.equal(found, wanted, String(error)),
    );
  };

  step(
    "ambient: if the remote cluster's service has a waypoint, requests from here pass it, and it knows the client's identity",
    async () => {
      await east.guard();
      const [near, far] = await servers("shop");
      await becomes(
        "the own cluster's clients go through it",
        async () => await answersOf(east, "GET"),
        [`200 east ${near}`, `200 east ${far}`].toSorted().join(", "),
      );
      // The far waypoint balances over both networks, so a request from here may come back to the pod here. But no
      // request reaches the far pod without passing through the waypoint.
      const ways = async (): Promise<string> =>
        (await answersOf(west, "GET")).replace(`, 200 east ${near}`, "").replace(`200 east ${near}, `, "");
      await becomes(
        "what goes to the other cluster goes through it",
        ways,
        [`200  ${near}`, `200 east ${far}`].toSorted().join(", "),
      );
      await west.scale("shop", 0);
      await becomes("all goes through it", async () => await answersOf(west, "GET"), `200 east ${far}`);
      // A waypoint also marks responses of its own, so the 403 names the waypoint that has denied the request.
      assert.equal(await answersOf(west, "DELETE"), "403 east");
      await west.scale("shop", 1);
    },
  );

  step("ambient: of two waypoints only the client's own applies, once", async () => {
    await west.guard();
    const both = await servers("shop");
    await becomes(
      "the own one marks both clusters' answers",
      async () => await answersOf(west, "GET"),
      both
        .map((pod) => `200 west ${pod}`)
        .toSorted()
        .join(", "),
    );
    assert.equal(await answersOf(west, "DELETE"), "403 west");
  });
});
