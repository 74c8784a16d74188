import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrometheus } from "../../../telemetry/index.ts";
import { probePairs, type PlannedProbePair } from "../../plan/index.ts";
import type { PairReport } from "../../probe/index.ts";
import { probeFacts } from "./probe-facts.ts";

const pairs = probePairs({
  revisions: ["old", "new"],
  dataPlanes: ["sidecar", "ambient", "waypoint", "gateway", "none"],
});
const identity = (account: string, domain = "td"): string => `spiffe://${domain}/ns/serin-probes/sa/${account}`;
const trustDomains = { old: ["td"], new: ["td", "alias"] };

function pairNamed(name: string): PlannedProbePair {
  const found = pairs.find((pair) => pair.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

interface Sample {
  readonly reporter: string;
  readonly client: string;
  readonly server?: string;
  readonly service?: string;
  readonly clientPrincipal?: string;
  readonly serverPrincipal?: string;
  readonly policy?: string;
}

function factsOf(name: string, report: Partial<PairReport>, samples: readonly Sample[]) {
  const pair = pairNamed(name);
  const text = samples.map(
    ({
      reporter,
      client,
      server = "unknown",
      service = "unknown",
      clientPrincipal = "unknown",
      serverPrincipal = "unknown",
      policy = "unknown",
    }) =>
      `istio_tcp_connections_opened_total{reporter="${reporter}",source_workload="${client}",source_workload_namespace="serin-probes",source_principal="${clientPrincipal}",destination_workload="${server}",destination_principal="${serverPrincipal}",destination_service_name="${service}",connection_security_policy="${policy}"} 5\n`,
  );
  const pairReport: PairReport = { ok: 5, failed: 0, letIn: 0, lastError: "", peers: { "": 5 }, ...report };
  const facts = probeFacts({
    pairs: [pair],
    reports: [{ client: pair.client, number: 3, through: 2, pairs: { [name]: pairReport } }],
    samples: parsePrometheus(text.join("")).samples,
    trustDomains,
    pods: [],
  });
  return facts.pairs[0];
}

test("behind a sidecar the server reports the client identity that its proxy verified, or none", () => {
  const client = identity("client-sidecar-old");
  const verified = factsOf(
    "old sidecar -> new sidecar",
    { peers: { [`${client} ${identity("server-sidecar-new")}`]: 5 } },
    [],
  );
  assert.deepEqual(
    [verified?.counts.mutual, verified?.counts.plain, verified?.clientIdentity, verified?.serverIdentity],
    [5, 0, client, identity("server-sidecar-new")],
  );
  assert.deepEqual([verified?.counts.wrongClient, verified?.counts.wrongServer], [0, 0]);
  assert.equal(factsOf("old sidecar -> new sidecar", {}, [])?.counts.plain, 5);
});

test("facts come from ztunnel's counters for ambient servers, and from the client's own proxy for the client", () => {
  const name = "new gateway -> old ambient";
  const facts = factsOf(name, {}, [
    {
      reporter: "destination",
      client: "gateway-new-istio",
      server: "server-ambient-old",
      clientPrincipal: identity("gateway-new-istio"),
      policy: "mutual_tls",
    },
    {
      reporter: "source",
      client: "gateway-new-istio",
      service: "server-ambient-old",
      serverPrincipal: identity("server-ambient-old"),
    },
  ]);
  assert.deepEqual(
    [facts?.counts.mutual, facts?.counts.plain, facts?.clientIdentity, facts?.serverIdentity],
    [5, 0, identity("gateway-new-istio"), identity("server-ambient-old")],
  );
  assert.equal(
    factsOf(name, {}, [{ reporter: "destination", client: "gateway-new-istio", server: "server-ambient-old" }])?.counts
      .plain,
    5,
  );
});

test("facts about a waypoint's requests come from its counters, and plaintext that it forwards is counted separately", () => {
  const facts = factsOf("old ambient -> new waypoint", {}, [
    {
      reporter: "waypoint",
      client: "client-ambient-old",
      service: "server-waypoint-new",
      clientPrincipal: identity("client-ambient-old"),
      policy: "mutual_tls",
    },
    {
      reporter: "source",
      client: "client-ambient-old",
      service: "server-waypoint-new",
      serverPrincipal: identity("waypoint-new"),
    },
    { reporter: "destination", client: "waypoint-new", server: "server-ambient-new" },
  ]);
  assert.deepEqual(
    [facts?.counts.mutual, facts?.counts.plainBehind, facts?.serverIdentity, facts?.counts.wrongServer],
    [5, 5, identity("waypoint-new"), 0],
  );
});

test("an identity is wrong if its account differs, or if the other side does not trust its trust domain", () => {
  const to = (revision: string, domain: string): number | undefined =>
    factsOf(`old ambient -> ${revision} ambient`, {}, [
      {
        reporter: "destination",
        client: "client-ambient-old",
        server: `server-ambient-${revision}`,
        clientPrincipal: identity("client-ambient-old", domain),
        policy: "mutual_tls",
      },
    ])?.counts.wrongClient;
  assert.deepEqual([to("new", "td"), to("new", "alias"), to("old", "alias"), to("new", "foreign")], [0, 0, 5, 5]);
  const stranger = factsOf("old ambient -> new ambient", {}, [
    {
      reporter: "source",
      client: "client-ambient-old",
      service: "server-ambient-new",
      serverPrincipal: identity("other"),
    },
  ]);
  assert.deepEqual(
    [stranger?.counts.wrongServer, stranger?.wrongServerIdentity, stranger?.expectedServer],
    [5, identity("other"), identity("server-ambient-new")],
  );
});

test("ended containers of the probes are reported by pod", () => {
  const pod = { uid: "1", name: "serin-probes/server", ready: true, ending: false, restarts: 1, detail: "" };
  const facts = probeFacts({
    pairs: [],
    reports: [],
    samples: [],
    trustDomains,
    pods: [{ ...pod, lastEnd: "istio-proxy ended with 139 (Error)" }, pod],
  });
  assert.deepEqual(facts.ended, ["serin-probes/server: istio-proxy ended with 139 (Error)"]);
});
