import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { MeshState } from "../state/mesh-state.ts";
import { accessLine2022 } from "./access-line-2022.ts";
import type { ConnectionDetails } from "./connection-record.ts";

const state = new MeshState();
parseLocalConfig(
  `
workloads:
- {uid: s, name: s, namespace: default, serviceAccount: sleep, workloadIps: [10.0.0.1]}
- {uid: w, name: w, namespace: default, serviceAccount: web, workloadIps: [10.0.0.2]}
services: [{name: web, namespace: default, hostname: web.default.svc.cluster.local, vips: [/10.96.0.1], ports: {80: 80}}]
`,
  state,
);
const [source, destination] = [state.workloadByUid("s") ?? assert.fail(), state.workloadByUid("w") ?? assert.fail()];
const service = {
  ...(state.service("default/web.default.svc.cluster.local") ?? assert.fail()),
  protocols: new Map([[80, "http"]]),
};
const counts = { startedMs: 0, durationMs: 2.7, forwardBytes: 84, backwardBytes: 1839 };
const outbound: ConnectionDetails = {
  reporter: "source",
  sourceAddress: { address: "10.0.0.1", port: 4 },
  destinationAddress: { address: "10.0.0.2", port: 15_008 },
  originalDestination: { address: "10.96.0.1", port: 80 },
  hboneTarget: "10.0.0.2:80",
  source,
  destination,
  service,
  mutualTls: true,
};

function line(details: ConnectionDetails, flag: "-" | "DENY" | "CONNECT" = "-"): string {
  return accessLine2022({ ...counts, details, flag }, seededRandom(1));
}

test("the log line of a connection names its path like the ztunnel of 2022", () => {
  const start = `[1970-01-01T00:00:00.000Z] "- - -" 0 - - - "-" 84 1839 2 - "-" "-" "-" "-"`;
  const sleep = "spiffe://cluster.local/ns/default/sa/sleep";
  assert.equal(
    line(outbound),
    `${start} "envoy://outbound_tunnel_lis_${sleep}/10.0.0.2:80" ${sleep}_to_http_web.default.svc.cluster.local_outbound_internal envoy://internal_client_address/ 10.96.0.1:80 10.0.0.1:4 - - capture outbound (no waypoint proxy)\n`,
  );
  assert.equal(
    line({ ...outbound, toWaypoint: true }),
    `${start} "10.0.0.2:15008" ${sleep}_to_server_waypoint_proxy_spiffe://cluster.local/ns/default/sa/web - 10.96.0.1:80 10.0.0.1:4 - - capture outbound (to server waypoint proxy)\n`,
  );
  const inbound: ConnectionDetails = { ...outbound, reporter: "destination" };
  assert.match(
    line(inbound),
    /"CONNECT - HTTP\/2" 200 - via_upstream - "-" 84 1839 2 - "-" "-" "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}" "10\.0\.0\.2:80" "10\.0\.0\.2:80" virtual_inbound 10\.0\.0\.1:4 10\.0\.0\.2:15008 10\.0\.0\.1:4 - - inbound hcm\n$/,
  );
  assert.match(line(inbound, "DENY"), /"CONNECT - HTTP\/2" 401 - rbac_access_denied /);
  assert.match(line(outbound, "CONNECT"), /"- - -" 0 UF /);
});
