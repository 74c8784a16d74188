import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { CheckSubject } from "../../decide/index.ts";
import { observeConnections, observeRequests, ReporterChoice } from "./counters.ts";
import { DurationObserver } from "./histograms.ts";
import {
  fakePod,
  fakeScrape,
  fakeView,
  gatewayPod,
  labels,
  requests,
  sidecarPod,
  waypointPod,
  ztunnelPod,
} from "./testing/fake-mesh.ts";

const backends: CheckSubject = {
  type: "backends",
  canary: { service: "next", namespace: "shop" },
  stable: { service: "now", namespace: "shop" },
  expectedShare: 10,
  atLeast: false,
};

test("statuses of 500 and above, missing answers, and gRPC's server faults are failures", async () => {
  const text =
    requests("next", "200", 10) +
    requests("next", "503", 2) +
    requests("next", "0", 1) +
    requests("next", "200", 4, { request_protocol: "grpc", grpc_response_status: "14" }) +
    requests("now", "404", 90) +
    requests("other", "500", 5);
  const observation = await observeRequests(fakeView([gatewayPod("g")]), backends, fakeScrape({ g: text }));
  assert.deepEqual(observation, {
    type: "counters",
    sources: { "shop/g": { canaryTotal: 17, canaryErrors: 7, stableTotal: 90, stableErrors: 0 } },
  });
});

test("a proxy with a counter that is no count has not answered, and is named if no other one answers", async () => {
  const view = fakeView([gatewayPod("g"), gatewayPod("h")]);
  for (const value of [NaN, Infinity, -5]) {
    const wrong = (requests("next", "200", 10) + requests("next", "503", value)).replace("Infinity", "+Inf");
    const one = await observeRequests(view, backends, fakeScrape({ g: wrong, h: requests("next", "200", 3) }));
    assert.deepEqual(one.type === "counters" && Object.keys(one.sources), ["shop/h"], String(value));
    const none = await observeRequests(view, backends, fakeScrape({ g: wrong, h: wrong }));
    assert.match(none.type === "unavailable" ? none.detail : "", /pod shop\/[gh] reports .* for istio_requests_total/);
  }
});

test("versions behind one Service are distinguished by workload", async () => {
  const subject: CheckSubject = {
    ...backends,
    canary: { service: "shop", namespace: "shop", workload: "shop-canary" },
    stable: { service: "shop", namespace: "shop", workload: "shop" },
  };
  const to = (workload: string, count: number): string =>
    requests("shop", "200", count, { destination_workload: workload, destination_workload_namespace: "shop" });
  const observation = await observeRequests(
    fakeView([gatewayPod("g")]),
    subject,
    fakeScrape({ g: to("shop", 9) + to("shop-canary", 1) + to("unknown", 5) }),
  );
  assert.deepEqual(observation, {
    type: "counters",
    sources: { "shop/g": { canaryTotal: 1, canaryErrors: 0, stableTotal: 9, stableErrors: 0 } },
  });
});

test("a request that both a gateway and a waypoint reported is counted once", async () => {
  const texts = { g: requests("next", "200", 10), w: requests("next", "200", 10, { reporter: "waypoint" }) };
  const observation = await observeRequests(fakeView([gatewayPod("g"), waypointPod("w")]), backends, fakeScrape(texts));
  const totals =
    observation.type === "counters" ? Object.values(observation.sources).map(({ canaryTotal }) => canaryTotal) : [];
  assert.deepEqual(totals, [0, 10]);
});

test("a waypoint that stops counting is replaced by the clients' proxies, which start at zero", async () => {
  const view = fakeView([gatewayPod("g"), waypointPod("w")]);
  const choice = new ReporterChoice();
  const look = async (byGateway: number): Promise<Readonly<Record<string, number>>> => {
    const texts = { g: requests("next", "200", byGateway), w: requests("next", "200", 40, { reporter: "waypoint" }) };
    const observation = await observeRequests(view, backends, fakeScrape(texts), choice);
    return Object.fromEntries(
      Object.entries(observation.type === "counters" ? observation.sources : {}).map(([name, { canaryTotal }]) => [
        name,
        canaryTotal,
      ]),
    );
  };
  assert.deepEqual(await look(50), { "shop/g": 0, "shop/w": 40 });
  assert.deepEqual(await look(55), { "shop/g": 0, "shop/w": 40 });
  assert.deepEqual(await look(61), { "shop/g (as source)": 61, "shop/w (as source)": 40 });
  assert.deepEqual(await look(75), { "shop/g (as source)": 75, "shop/w (as source)": 40 });
});

test("a proxy that does not answer contributes no counts, and if none answers there is no observation", async () => {
  const view = fakeView([gatewayPod("g"), gatewayPod("h")]);
  const some = await observeRequests(view, backends, fakeScrape({ g: requests("next", "200", 1) }));
  assert.deepEqual(some.type === "counters" ? Object.keys(some.sources) : [], ["shop/g"]);
  assert.deepEqual(await observeRequests(view, backends, fakeScrape({})), {
    type: "unavailable",
    detail: "h does not answer",
  });
  assert.deepEqual(await observeRequests(fakeView([]), backends, fakeScrape({})), {
    type: "unavailable",
    detail: "no proxy that counts requests of shop/next and shop/now is running",
  });
});

test("a request with a proxy of the new revision at either end counts as the canary's", async () => {
  const subject: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const view = fakeView([
    sidecarPod("client", "old", "client"),
    sidecarPod("moved", "new", "moved"),
    sidecarPod("left", "old", "left"),
  ]);
  const to = (workload: string, count: number): string =>
    requests("x", "200", count, { destination_workload: workload, destination_workload_namespace: "shop" });
  const observation = await observeRequests(
    view,
    subject,
    fakeScrape({ client: to("moved", 3) + to("left", 5), moved: to("left", 7), left: "" }),
  );
  assert.deepEqual(observation.type === "counters" ? observation.sources : {}, {
    "shop/client": { canaryTotal: 3, canaryErrors: 0, stableTotal: 5, stableErrors: 0 },
    "shop/moved": { canaryTotal: 7, canaryErrors: 0, stableTotal: 0, stableErrors: 0 },
    "shop/left": { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 },
  });
});

test("a server whose pods restart keeps its version, and one that had no pod adds none of its earlier counts", async () => {
  const subject: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const [client, moved, idle] = [
    sidecarPod("client", "old", "client"),
    sidecarPod("moved", "new", "moved"),
    sidecarPod("idle", "new", "idle"),
  ];
  const pods: Pod[] = [];
  const view = fakeView(pods);
  const to = (workload: string, count: number): string =>
    requests("x", "200", count, { destination_workload: workload, destination_workload_namespace: "shop" });
  const choice = new ReporterChoice();
  const look = async (running: readonly Pod[], counts: readonly [moved: number, idle: number]) => {
    pods.splice(0, pods.length, ...running);
    const texts = { client: to("moved", counts[0]) + to("idle", counts[1]), moved: "", idle: "" };
    const observation = await observeRequests(view, subject, fakeScrape(texts), choice);
    return observation.type === "counters" ? observation.sources["shop/client"]?.canaryTotal : undefined;
  };
  assert.equal(await look([client, moved], [90_000, 5000]), 90_000);
  assert.equal(await look([client], [90_000, 5000]), 90_000, "its only pod restarts");
  assert.equal(await look([client, moved, idle], [90_003, 5002]), 90_003, "the other one starts");
});

test("requests to a server that had no pod at first belong to neither version, however its clients are", async () => {
  const subject: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const clients = [sidecarPod("mine", "new", "mine"), sidecarPod("theirs", "old", "theirs")];
  const pods: Pod[] = [...clients];
  const choice = new ReporterChoice();
  const look = async (): Promise<unknown> => {
    const labels = { destination_workload: "idle", destination_workload_namespace: "shop" };
    const texts = { mine: requests("x", "503", 40, labels), theirs: requests("x", "503", 50, labels), idle: "" };
    const observation = await observeRequests(fakeView(pods), subject, fakeScrape(texts), choice);
    const { "shop/mine": mine, "shop/theirs": theirs } = observation.type === "counters" ? observation.sources : {};
    return [mine?.canaryErrors, mine?.stableErrors, theirs?.canaryErrors, theirs?.stableErrors];
  };
  assert.deepEqual(await look(), [40, 0, 0, 50], "it may be outside the mesh");
  pods.push(sidecarPod("idle", "new", "idle"));
  assert.deepEqual(await look(), [0, 0, 0, 0]);
  pods.pop();
  assert.deepEqual(await look(), [0, 0, 0, 0]);
});

test("requests to a namespace are counted by clients in other namespaces, and by gateways that a user injects", async () => {
  const subject: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const sidecar = ["app", "istio-proxy"];
  const view = fakeView([
    sidecarPod("web", "new", "web"),
    fakePod({ name: "client", namespace: "office", containers: sidecar, annotations: { "istio.io/rev": "old" } }),
    fakePod({
      name: "front",
      namespace: "edge",
      containers: ["istio-proxy"],
      annotations: { "istio.io/rev": "old", "inject.istio.io/templates": "gateway" },
    }),
  ]);
  const to = (namespace: string, count: number): string =>
    requests("x", "200", count, { destination_workload: "web", destination_workload_namespace: namespace });
  const texts = { web: "", client: to("shop", 4) + to("office", 9), front: to("shop", 6) };
  const observation = await observeRequests(view, subject, fakeScrape(texts));
  const totals = observation.type === "counters" ? Object.entries(observation.sources) : [];
  assert.deepEqual(
    totals.map(([name, { canaryTotal, stableTotal }]) => [name, canaryTotal, stableTotal]),
    [
      ["edge/front", 6, 0],
      ["shop/web", 0, 0],
      ["office/client", 4, 0],
    ],
  );
});

test("the servers' sidecars count for a wave that only clients without a proxy call, and start at zero", async () => {
  const subject: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const view = fakeView([sidecarPod("web", "new", "web"), sidecarPod("client", "old", "client")]);
  const server = { destination_workload: "web", destination_workload_namespace: "shop" };
  const arrived = { ...server, reporter: "destination" };
  const lost = { ...server, response_flags: "URX,UF" };
  const choice = new ReporterChoice();
  const durations = new DurationObserver();
  const look = async (ok: number, failed: number, neverArrived = 0): Promise<unknown> => {
    const texts = {
      web: `${requests("web", "200", ok, arrived)}${requests("web", "500", failed, arrived)}istio_request_duration_milliseconds_bucket{${labels(arrived)},le="+Inf"} ${ok}\n`,
      client: requests("web", "503", neverArrived, lost),
    };
    const scrape = fakeScrape(texts);
    const [seen, timed] = [
      await observeRequests(view, subject, scrape, choice),
      await durations.observe(view, subject, scrape),
    ];
    const sources = seen.type === "counters" ? Object.entries(seen.sources) : [];
    return [
      Object.fromEntries(sources.map(([name, counts]) => [name, [counts.canaryTotal, counts.canaryErrors]])),
      timed.type === "durations" ? timed.canary.counts : timed,
    ];
  };
  const unheard = [{ "shop/web": [0, 0], "shop/client": [0, 0] }, [0]];
  assert.deepEqual(await look(900, 4), unheard);
  assert.deepEqual(await look(940, 4), unheard, "their own proxy may count these a little later");
  assert.deepEqual(await look(940, 4), unheard);
  assert.deepEqual(await look(980, 4), unheard);
  assert.deepEqual(await look(999, 9), [
    { "shop/web (as destination)": [1008, 9], "shop/client (as destination)": [0, 0] },
    [0],
  ]);
  assert.deepEqual(
    await look(1020, 11, 3),
    [{ "shop/web (as destination)": [1031, 11], "shop/client (as destination)": [3, 3] }, [21]],
    "the clients' proxies add only the requests that never arrived",
  );
});

test("the servers' sidecars do not count while the clients' proxies do, nor for the weights of a Canary", async () => {
  const revisions: CheckSubject = { type: "revisions", canary: "new", stable: "old", namespaces: ["shop"] };
  const server = { destination_workload: "web", destination_workload_namespace: "shop" };
  const view = fakeView([sidecarPod("web", "new", "web"), sidecarPod("client", "old", "client")]);
  for (const [subject, rise, expected] of [
    [revisions, 1, ["shop/web", "shop/client"]],
    [backends, 0, ["shop/web", "shop/client"]],
  ] as const) {
    const choice = new ReporterChoice();
    for (let round = 0; round < 9; round += 1) {
      const texts = {
        web: requests("next", "200", round * 50, { ...server, reporter: "destination" }),
        client: requests("next", "200", round * rise, server),
      };
      const seen = await observeRequests(view, subject, fakeScrape(texts), choice);
      assert.deepEqual(seen.type === "counters" && Object.keys(seen.sources).toSorted(), expected.toSorted());
    }
  }
});

test("a source that is chosen a second time starts at zero again", async () => {
  const view = fakeView([gatewayPod("g"), waypointPod("w")]);
  const choice = new ReporterChoice();
  const names: string[] = [];
  for (const [byGateway, byWaypoint] of [
    [0, 0],
    [0, 20],
    [20, 20],
    [20, 40],
  ] as const) {
    const texts = {
      g: requests("next", "200", byGateway),
      w: requests("next", "200", byWaypoint, { reporter: "waypoint" }),
    };
    const seen = await observeRequests(view, backends, fakeScrape(texts), choice);
    names.push(Object.keys(seen.type === "counters" ? seen.sources : {})[0] ?? "");
  }
  assert.deepEqual(names, ["shop/g", "shop/g (as waypoint)", "shop/g (as source, 2)", "shop/g (as waypoint, 3)"]);
});

test("mesh connections are counted by ztunnels if there are any, except those that a probe expects to be refused", async () => {
  const refused =
    'istio_tcp_connections_failed_total{reporter="destination",source_workload="client-none",source_workload_namespace="serin-probes"} 7\n';
  const text = `${refused}istio_tcp_connections_opened_total{reporter="source"} 8\nistio_tcp_connections_opened_total{reporter="destination"} 8\nistio_tcp_connections_failed_total{reporter="source"} 2\n`;
  const observation = await observeConnections(
    fakeView([gatewayPod("g"), ztunnelPod("z")]),
    { type: "mesh" },
    fakeScrape({ g: text, z: text }),
  );
  assert.deepEqual(observation, {
    type: "counters",
    sources: { "istio-system/z": { canaryTotal: 10, canaryErrors: 2, stableTotal: 0, stableErrors: 0 } },
  });
});

test("connection failures of a proxied request count against the version that it tried", async () => {
  const text =
    requests("next", "503", 2, { response_flags: "URX,UF" }) + requests("next", "500", 5) + requests("now", "200", 9);
  const observation = await observeConnections(
    fakeView([gatewayPod("g"), ztunnelPod("z")]),
    backends,
    fakeScrape({ g: text, z: "" }),
  );
  assert.deepEqual(observation.type === "counters" && observation.sources["shop/g"], {
    canaryTotal: 7,
    canaryErrors: 2,
    stableTotal: 9,
    stableErrors: 0,
  });
});

test("a waypoint counts the connections that it sends to each version", async () => {
  const opened = (version: string, reporter: string, count: number, flags = "-"): string =>
    `istio_tcp_connections_opened_total{reporter="${reporter}",destination_service_name="${version}",destination_service_namespace="shop",response_flags="${flags}"} ${count}\n`;
  const text = opened("next", "waypoint", 5) + opened("next", "waypoint", 2, "UF") + opened("now", "waypoint", 9);
  const observation = await observeConnections(
    fakeView([waypointPod("w"), ztunnelPod("z")]),
    backends,
    fakeScrape({ w: text + opened("next", "destination", 3), z: opened("next", "source", 70) }),
  );
  assert.deepEqual(observation.type === "counters" && observation.sources["shop/w"], {
    canaryTotal: 7,
    canaryErrors: 2,
    stableTotal: 9,
    stableErrors: 0,
  });
});

test("histograms of all proxies are summed, and a restarted or late one neither removes nor adds earlier counts", async () => {
  const histogram = (service: string, ...cumulative: number[]): string => {
    const end = labels({
      reporter: "source",
      destination_service_name: service,
      destination_service_namespace: "shop",
    });
    const lines = ["10", "100", "+Inf"].map(
      (bound, index) => `istio_request_duration_milliseconds_bucket{${end},le="${bound}"} ${cumulative[index] ?? 0}`,
    );
    return [...lines, `istio_request_duration_milliseconds_sum{${end}} ${(cumulative[2] ?? 0) * 7}`, ""].join("\n");
  };
  const observer = new DurationObserver();
  const view = fakeView([gatewayPod("g"), gatewayPod("h")]);
  const look = async (texts: Readonly<Record<string, string>>) => {
    const observation = await observer.observe(view, backends, fakeScrape(texts));
    return observation.type === "durations" ? [observation.canary.counts, observation.canary.sumMs] : observation;
  };
  assert.deepEqual(await look({ g: histogram("next", 1, 2, 3) }), [[1, 1, 1], 21]);
  assert.deepEqual(await look({ g: histogram("next", 2, 3, 4), h: histogram("next", 100, 100, 100) }), [[2, 1, 1], 28]);
  assert.deepEqual(await look({ g: histogram("next", 0, 1, 1), h: histogram("next", 101, 101, 101) }), [[3, 1, 1], 35]);
  assert.deepEqual(await look({ g: histogram("next", 0, 2, 2), h: histogram("next", 101, 101, 101) }), [[3, 2, 1], 42]);
});
