import assert from "node:assert/strict";
import { test } from "node:test";
import { probeDataPlanes } from "../../api/serin/index.ts";
import { probeObjects, probePods, probeSettle, type ProbePodSource } from "./probe-objects.ts";
import { probePairs } from "./probe-pairs.ts";

const allProbes = { revisions: ["1-18-0", "1-18-1"], dataPlanes: probeDataPlanes };

test("the whole matrix has every pair of revision and data plane with traffic between them", () => {
  const names = probePairs(allProbes).map(({ name }) => name);
  // Pods: sidecars 2 x 4, ambient 2 x 6, gateways 2 x 6, outside the mesh 4.
  assert.equal(names.length, 36);
  assert.equal(new Set(names).size, 36);
  assert.ok(names.includes("1-18-1 gateway -> 1-18-0 waypoint"));
  assert.ok(!names.includes("1-18-0 sidecar -> 1-18-0 waypoint"));
});

test("only probes for existing data planes are created: ambient alone needs no route, gateway or client outside the mesh", () => {
  const scope = { revisions: ["a", "b"], dataPlanes: ["ambient"] } as const;
  assert.deepEqual(
    probePods(scope).map(({ reference }) => reference.name),
    ["server-ambient-a", "server-ambient-b", "client-ambient-a", "client-ambient-b"],
  );
  const kinds = new Set(probeObjects({ ...scope, image: "serin" }).map(({ kind }) => kind));
  assert.deepEqual(
    [...kinds],
    ["Namespace", "PeerAuthentication", "AuthorizationPolicy", "ServiceAccount", "Service", "Pod"],
  );
  assert.equal(probePairs({ revisions: ["a"], dataPlanes: ["waypoint"] }).length, 2);
});

test("clients accept the engine's request to probe, whatever the mesh requires", () => {
  const objects = probeObjects({ ...allProbes, image: "serin" });
  const policy = objects.find(
    ({ kind, metadata }) => kind === "PeerAuthentication" && metadata.name === "probe-clients",
  );
  assert.deepEqual(policy?.["spec"], {
    selector: { matchLabels: { app: "probe-client" } },
    mtls: { mode: "PERMISSIVE" },
  });
  const client = objects.find(
    ({ kind, metadata }) => kind === "Pod" && metadata.labels?.["app"] === "probe-client",
  ) as unknown as { spec: { containers: [{ ports: unknown; env: { name: string; value: string }[] }] } };
  const [{ ports, env }] = client.spec.containers;
  assert.deepEqual(ports, [{ containerPort: 9193 }]);
  assert.equal(env.find(({ name }) => name === "PROBE_PACE_PORT")?.value, "9193");
});

test("names of objects replace the dot of a revision such as Banzai's", () => {
  const objects = probeObjects({ revisions: ["cr.istio-system"], dataPlanes: probeDataPlanes, image: "serin" });
  for (const { kind, metadata } of objects) assert.match(metadata.name ?? "", /^[a-z0-9-]+$/, kind);
  const pod = objects.find(
    ({ kind, metadata }) => kind === "Pod" && metadata.name === "client-sidecar-cr-istio-system",
  );
  assert.equal(pod?.metadata.labels?.["istio.io/rev"], "cr.istio-system");
});

test("probes have the engine's pull Secrets", () => {
  const secretsOf = (imagePullSecrets?: readonly { readonly name: string }[]): unknown[] => {
    const given = imagePullSecrets === undefined ? {} : { pod: { imagePullSecrets } };
    return probeObjects({ ...allProbes, image: "serin", ...given })
      .filter(({ kind }) => kind === "Pod")
      .map(({ spec }) => (spec as { imagePullSecrets?: unknown }).imagePullSecrets);
  };
  assert.deepEqual(new Set(secretsOf()), new Set([undefined]));
  const secrets = secretsOf([{ name: "regcred" }]);
  assert.equal(secrets.length, probePods(allProbes).length);
  for (const secret of secrets) assert.deepEqual(secret, [{ name: "regcred" }]);
});

test("an autoscaler may evict probes, which have no controller", () => {
  const pods = probeObjects({ ...allProbes, image: "serin" }).filter(({ kind }) => kind === "Pod");
  const name = "cluster-autoscaler.kubernetes.io/safe-to-evict";
  assert.deepEqual(new Set(pods.map(({ metadata }) => metadata.annotations?.[name])), new Set(["true"]));
});

test("probes run on Linux, and on tainted or labelled nodes where the engine's own pod may run", () => {
  const placesOf = (pod?: ProbePodSource): unknown[] =>
    probeObjects({ ...allProbes, image: "serin", ...(pod === undefined ? {} : { pod }) })
      .filter(({ kind }) => kind === "Pod")
      .map(({ spec }) => {
        const { nodeSelector, tolerations } = spec as ProbePodSource;
        return { nodeSelector, tolerations };
      });
  const linux = { "kubernetes.io/os": "linux" };
  for (const place of placesOf()) assert.deepEqual(place, { nodeSelector: linux, tolerations: undefined });
  const engine = { nodeSelector: { ...linux, pool: "infra" }, tolerations: [{ key: "dedicated", operator: "Exists" }] };
  for (const place of placesOf(engine)) assert.deepEqual(place, engine);
});

test("the proxies of gateways and waypoints run where the engine's own pod may run, and end soon, so that the namespace can be deleted", () => {
  const proxiesOf = (pod: ProbePodSource): { readonly texts: unknown[]; readonly references: unknown[] } => {
    const objects = probeObjects({ ...allProbes, image: "serin", pod });
    return {
      texts: objects
        .filter(({ kind }) => kind === "ConfigMap")
        .map(({ data }) => JSON.parse((data as { deployment: string }).deployment)),
      references: objects
        .filter(({ kind }) => kind === "Gateway")
        .map(({ spec }) => (spec as { infrastructure?: { parametersRef: unknown } }).infrastructure?.parametersRef),
    };
  };
  const place = { nodeSelector: { "kubernetes.io/os": "linux" }, tolerations: [{ key: "dedicated" }] };
  const usual = { nodeSelector: { "kubernetes.io/os": "linux" } };
  const parameters = { group: "", kind: "ConfigMap", name: "probe-proxies" };
  const grace = { terminationGracePeriodSeconds: 30 };
  for (const [given, pod] of [
    [place, { ...grace, ...place }],
    [usual, grace],
  ] as const) {
    const { texts, references } = proxiesOf(given);
    assert.deepEqual(texts, [{ spec: { template: { spec: pod } } }]);
    assert.deepEqual(references, [parameters, parameters, parameters, parameters]);
  }
});

test("clients slow down with the number of pairs, up to a bound that a step can wait for", () => {
  const interval = (dataPlanes: typeof allProbes.dataPlanes | readonly ["ambient"]): number => {
    const client = probeObjects({ ...allProbes, dataPlanes, image: "serin" }).find(
      ({ kind, metadata }) => kind === "Pod" && metadata.name === "client-ambient-1-18-0",
    );
    assert.ok(client !== undefined);
    const [{ env }] = (client["spec"] as { containers: [{ env: { name: string; value: string }[] }] }).containers;
    return Number(env.find(({ name }) => name === "PROBE_INTERVAL_MS")?.value);
  };
  assert.equal(interval(["ambient"]), 80);
  assert.equal(interval(probeDataPlanes), 500);
});

test("counting waits for every pod, proxy and acknowledgement", () => {
  const settle = probeSettle(allProbes);
  const count = (type: string): number => settle.filter((condition) => condition.type === type).length;
  assert.deepEqual(
    { owner: count("owner"), podReady: count("podReady"), ready: count("ready") },
    { owner: 4, podReady: 9, ready: 4 },
  );
  // Objects to acknowledge: six Services, two waypoints, two gateways with their routes, nine pods.
  assert.equal(count("acknowledged"), 21);
});
